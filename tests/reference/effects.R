# Reference values for slopes, joint tests, simple and interaction contrasts, tests with a margin, letters and nested
# factors, from emmeans and multcomp at tight fits:
#
#   Rscript tests/reference/effects.R > tests/reference/effects.json
#
# from the root of the repository (Debian: r-cran-emmeans, r-cran-lme4, r-cran-pbkrtest, r-cran-multcomp,
# r-cran-multcompview, r-cran-jsonlite, r-cran-numderiv). Each case names a model, a function with its arguments, and what
# is then asked of the result.
suppressPackageStartupMessages({
  library(lme4)
  library(emmeans)
  library(multcomp)
  library(jsonlite)
})

factors <- function(d, names) {
  d[names] <- lapply(d[names], function(v) factor(v, sort(unique(as.character(v)), method = "radix")))
  d
}
marginal <- factors(read.csv("tests/data/marginal.csv"), c("b", "g", "h", "j", "k", "l"))
marginal$a <- factor(marginal$a, c("lo", "hi"))
empty <- subset(marginal, !(a == "hi" & b == "z"))
# varieties of three species, of which each has its own, in blocks
nested <- factors(read.csv("tests/data/nested.csv"), c("species", "variety", "water", "block"))
tight <- lmerControl(
  optimizer = "nloptwrap",
  optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-12, ftol_abs = 1e-15, maxeval = 1e5)
)
tighter <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5), tolPwrss = 1e-13)

models <- list(
  crossed = lmer(y ~ a * b + k + x + (1 | g), marginal, control = tight),
  slopes = lmer(y ~ a * x + b * k + (1 | g), marginal, control = tight),
  curved = lmer(y ~ a * poly(x, 2) + log(e) + (1 | g), marginal, control = tight),
  empty = lmer(y ~ a * b + k + (1 | g), empty, control = tight),
  herds = glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, control = tighter),
  counts = glmer(n ~ a * x + k + (1 | g), marginal, poisson, control = tighter),
  nested = lmer(y ~ species + variety + water + (1 | block), nested, control = tight),
  watered = lmer(y ~ species * water + species:variety + (1 | block), nested, control = tight),
  sleep = lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = tight)
)
covariance <- function(fit) {
  theta <- getME(fit, "theta")
  H <- numDeriv::hessian(update(fit, devFunOnly = TRUE), c(theta, fixef(fit)), method.args = list(d = 0.01))
  V <- solve(H / 2)[-seq_along(theta), -seq_along(theta), drop = FALSE]
  dimnames(V) <- dimnames(as.matrix(vcov(fit)))
  V
}
covariances <- lapply(Filter(isGLMM, models), covariance)

columns <- function(frame) {
  frame <- as.data.frame(frame)
  frame[] <- lapply(frame, function(v) if (is.factor(v)) as.character(v) else v)
  lapply(frame, function(v) if (is.numeric(v)) ifelse(is.infinite(v), 1e300, v) else v)
}

cases <- list()
# what is asked of the means or slopes: contrast(), test(), cld() with their arguments, or nothing
add <- function(model, call, arguments = list(), then = "frame", options = list()) {
  fit <- models[[model]]
  own <- arguments
  if (!is.null(own$ddf)) { own$lmer.df <- if (own$ddf == "none") "asymptotic" else own$ddf; own$ddf <- NULL }
  if (isGLMM(fit)) own$vcov. <- covariances[[model]]
  if (call == "emtrends") own$delta.var <- 1e-6
  found <- suppressMessages(do.call(call, c(list(fit), own)))
  result <- suppressMessages(switch(then,
    frame = if (call == "joint_tests") found else summary(found),
    contrast = summary(do.call(contrast, c(list(found), options[setdiff(names(options), c("null", "side", "delta"))])),
      infer = c(FALSE, TRUE), null = if (is.null(options$null)) 0 else options$null,
      side = if (is.null(options$side)) 0 else options$side, delta = if (is.null(options$delta)) 0 else options$delta),
    test = do.call(test, c(list(found), options)),
    cld = do.call(cld, c(list(found), options))
  ))
  cases[[length(cases) + 1]] <<- list(
    model = unbox(model), call = unbox(call), arguments = arguments, then = unbox(then), options = options,
    frame = columns(result)
  )
}

for (ddf in c("kenward-roger", "satterthwaite", "none")) {
  add("sleep", "emtrends", list(specs = "1", var = "Days", ddf = ddf))
  add("slopes", "emtrends", list(specs = "a", var = "x", ddf = ddf))
}
add("slopes", "emtrends", list(specs = "a", var = "x"), "contrast", list(method = "pairwise"))
add("slopes", "emtrends", list(specs = c("a", "k"), var = "x"))
add("curved", "emtrends", list(specs = "a", var = "x"))
add("curved", "emtrends", list(specs = "x", by = "a", var = "x", at = list(x = c(-1, 0, 1))))
add("curved", "emtrends", list(specs = "e", var = "e", at = list(e = c(1.5, 2, 2.5))))
add("counts", "emtrends", list(specs = "a", var = "x"))
add("counts", "emtrends", list(specs = "a", var = "x"), "contrast", list(method = "pairwise"))

for (model in c("crossed", "slopes", "empty", "herds", "counts")) {
  for (ddf in if (model %in% c("herds", "counts")) list(NULL) else list("none", "satterthwaite")) {
    add(model, "joint_tests", list(ddf = ddf))
  }
}
add("crossed", "joint_tests", list(ddf = "none", by = "a"))
add("crossed", "joint_tests", list(ddf = "none", by = c("a", "k")))

for (simple in c("a", "b")) add("crossed", "emmeans", list(specs = c("a", "b")), "contrast", list(method = "pairwise", simple = simple))
add("crossed", "emmeans", list(specs = c("a", "b", "k")), "contrast", list(method = "consec", simple = c("a", "b")))
for (interaction in list("pairwise", "consec", c("pairwise", "poly"), c("eff", "trt.vs.ctrl"))) {
  add("crossed", "emmeans", list(specs = c("a", "b")), "contrast", list(interaction = interaction))
}
add("slopes", "emmeans", list(specs = c("b", "k"), by = "a"), "contrast", list(interaction = "consec"))
add("crossed", "emmeans", list(specs = c("a", "b", "k")), "contrast", list(interaction = c("pairwise", "eff"), by = "k"))

for (adjust in c("none", "bonferroni", "sidak", "holm", "tukey", "mvt")) {
  add("herds", "emmeans", list(specs = "period"), "contrast", list(method = "pairwise", adjust = adjust, side = "left", null = 1))
  add("herds", "emmeans", list(specs = "period"), "contrast", list(method = "pairwise", adjust = adjust, delta = 1.5))
  add("herds", "emmeans", list(specs = "period"), "contrast", list(method = "pairwise", adjust = adjust, side = "right", delta = 0.5))
}
add("crossed", "emmeans", list(specs = "b"), "contrast", list(method = "trt.vs.ctrl", side = "noninferiority", delta = 0.5))
add("crossed", "emmeans", list(specs = "b"), "test", list(null = 1.5, side = "right"))
add("crossed", "emmeans", list(specs = "b"), "test", list(null = 1.5, delta = 0.2))
add("herds", "emmeans", list(specs = "period", type = "response"), "test", list(null = -2))

add("crossed", "emmeans", list(specs = "b"), "cld")
add("crossed", "emmeans", list(specs = c("a", "b")), "cld", list(alpha = 0.2))
add("crossed", "emmeans", list(specs = "b", by = "a"), "cld", list(adjust = "none"))
add("herds", "emmeans", list(specs = "period"), "cld")
add("herds", "emmeans", list(specs = "period"), "cld", list(reversed = TRUE))
add("nested", "emmeans", list(specs = "variety"), "frame")
add("nested", "emmeans", list(specs = "species"), "frame")
add("nested", "emmeans", list(specs = "water"), "frame")
add("nested", "emmeans", list(specs = "variety"), "contrast", list(method = "pairwise", adjust = "none"))
add("nested", "emmeans", list(specs = "species"), "contrast", list(method = "pairwise"))
add("nested", "joint_tests", list(ddf = "none"))
add("watered", "emmeans", list(specs = c("variety", "water")), "frame")
add("watered", "emmeans", list(specs = "species"), "contrast", list(method = "pairwise"))
add("crossed", "emmeans", list(specs = "a", nuisance = "k"))
add("slopes", "emmeans", list(specs = "a", nuisance = c("b", "k")))
add("slopes", "emmeans", list(specs = "a", nuisance = c("b", "k")), "contrast", list(method = "pairwise"))

cat(toJSON(cases, digits = I(13), auto_unbox = FALSE, null = "null", na = "null"))
