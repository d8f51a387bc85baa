# Reference values for marginal means and contrasts, from emmeans at tight fits:
#
#   Rscript tests/reference/emmeans.R > tests/reference/emmeans.json
#
# from the root of the repository (Debian: r-cran-emmeans, r-cran-lme4, r-cran-lmertest, r-cran-pbkrtest,
# r-cran-jsonlite, r-cran-numderiv). Each case names a model, the specs, the arguments of emmeans() and, for contrasts, those of
# contrast(); `what` says whether the tests or the intervals of the result are recorded.
suppressPackageStartupMessages({
  library(lme4)
  library(emmeans)
  library(jsonlite)
})

# in the order of code points, as Python sorts
factors <- function(d, names) {
  d[names] <- lapply(d[names], function(v) factor(v, sort(unique(as.character(v)), method = "radix")))
  d
}
marginal <- factors(read.csv("tests/data/marginal.csv"), c("b", "g", "h", "j", "k", "l"))
marginal$a <- factor(marginal$a, c("lo", "hi"))
empty <- subset(marginal, !(a == "hi" & b == "z"))
tight <- lmerControl(
  optimizer = "nloptwrap",
  optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-12, ftol_abs = 1e-15, maxeval = 1e5)
)
tighter <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5), tolPwrss = 1e-13)

models <- list(
  crossed = lmer(y ~ a * b + k + x + (1 | g), marginal, control = tight),
  labels = lmer(y ~ a * x + h + j + l + (1 | g), marginal, control = tight),
  two = lmer(y ~ a * two + x + (1 | g), marginal, control = tight),
  ml = lmer(y ~ a + k + x + (1 | g), marginal, REML = FALSE, control = tight),
  weighted = lmer(y ~ a + k + x + (1 | g), marginal, weights = e, control = tight),
  curved = lmer(y ~ a * poly(x, 2) + log(e) + (1 | g), marginal, control = tight),
  empty = lmer(y ~ a * b + k + (1 | g), empty, control = tight),
  herds = glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, control = tighter),
  counts = glmer(n ~ a * k + x + offset(log(e)) + (1 | g), marginal, poisson, control = tighter),
  probit = glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial("probit"), control = tighter)
)

# lme4 takes the Hessian by plain differences, good to 1e-3; Richardson's extrapolation gives its exact value
covariance <- function(fit) {
  theta <- getME(fit, "theta")
  H <- numDeriv::hessian(update(fit, devFunOnly = TRUE), c(theta, fixef(fit)), method.args = list(d = 0.01))
  V <- solve(H / 2)[-seq_along(theta), -seq_along(theta), drop = FALSE]
  dimnames(V) <- dimnames(as.matrix(vcov(fit)))
  V
}
generalized <- Filter(isGLMM, models)
covariances <- lapply(generalized, covariance)

columns <- function(frame) {
  frame <- as.data.frame(frame)
  frame[] <- lapply(frame, function(v) if (is.factor(v)) as.character(v) else v)
  lapply(frame, function(v) if (is.numeric(v)) ifelse(is.infinite(v), 1e300, v) else v)
}

cases <- list()
add <- function(model, specs, arguments = list(), contrast = NULL, what = "tests") {
  fit <- models[[model]]
  by <- arguments$by
  own <- arguments
  if (!is.null(own$ddf)) { own$lmer.df <- if (own$ddf == "none") "asymptotic" else own$ddf; own$ddf <- NULL }
  if (isGLMM(fit)) own$vcov. <- covariances[[model]]
  em <- suppressMessages(do.call(emmeans, c(list(fit, specs), own)))
  if (is.null(contrast)) {
    result <- if (is.null(arguments$adjust)) summary(em) else confint(em, adjust = arguments$adjust, level = arguments$level)
  } else {
    if (is.character(contrast$by) && contrast$by == "none") contrast["by"] <- list(NULL)
    result <- suppressMessages(do.call(emmeans::contrast, c(list(em), contrast)))
    result <- suppressMessages(if (what == "tests") summary(result) else confint(result))
  }
  if (model == "empty" && grepl("tukey", tail(attr(result, "mesg"), 1))) {
    # emmeans 1.8.4 rounds all degrees of freedom here, because some are missing
    k <- length(levels(em)$a) * length(levels(em)$b)
    result$p.value <- ptukey(sqrt(2) * abs(result$t.ratio), k, result$df, lower.tail = FALSE)
  }
  if (!is.null(contrast) && is.null(contrast$by) && "by" %in% names(contrast)) contrast$by <- "none"
  cases[[length(cases) + 1]] <<- list(
    model = unbox(model), specs = specs, arguments = arguments, contrast = contrast, what = unbox(what),
    frame = columns(result), notes = attr(result, "mesg")
  )
}

for (w in c("equal", "proportional", "outer", "cells", "flat")) {
  add("crossed", "a", list(weights = w))
  add("crossed", "a", list(weights = w, by = "k"))
  # pbkrtest leaves prior weights out of Kenward and Roger's covariance
  add("weighted", "a", list(weights = w, ddf = "satterthwaite"))
}
add("crossed", c("a", "b"))
add("crossed", "a", list(by = "b"))
add("crossed", "a", list(by = "b"), list(method = "pairwise"))
add("crossed", "b", list(by = "a"), list(method = "pairwise"))
add("crossed", c("a", "b"), list(), list(method = "pairwise"))
add("crossed", c("a", "b"), list(), list(method = "pairwise", by = "a"))
add("crossed", "b", list(by = "a"), list(method = "pairwise", by = "none"))
add("crossed", "b", list(ddf = "satterthwaite"), list(method = "pairwise"))
add("crossed", "b", list(ddf = "none"), list(method = "pairwise"))
add("crossed", "b", list(ddf = "none"))
add("crossed", "x", list(at = list(x = c(-1, 0.5))))
add("crossed", "x", list(at = list(x = c(-1, 0.5))), list(method = "pairwise"))
add("crossed", "b", list(at = list(x = 1, a = "hi")))
add("crossed", "b", list(level = 0.9, adjust = "sidak"))
add("labels", "a")
for (v in c("h", "j", "l")) for (m in c("pairwise", "eff", "trt.vs.ctrl")) add("labels", v, list(), list(method = m))
add("labels", c("h", "j"), list(), list(method = "pairwise"))
add("two", "a")
add("two", c("a", "two"))
add("two", "a", list(by = "two"), list(method = "pairwise"))
add("two", "a", list(at = list(two = 0.3)))
add("ml", "a", list(ddf = "satterthwaite"))
add("curved", "a")
add("curved", "a", list(at = list(x = c(-1, 1)), by = "x"), list(method = "pairwise"))
add("empty", c("a", "b"))
add("empty", "a")
add("empty", "b")
add("empty", "a", list(weights = "cells"))
add("empty", "a", list(weights = "flat"))
add("empty", "a", list(by = "b"), list(method = "pairwise"))
add("empty", c("a", "b"), list(), list(method = "pairwise"))
add("empty", c("a", "b"), list(), list(method = "pairwise", adjust = "holm"))
add("empty", c("a", "b"), list(), list(method = "pairwise", adjust = "fdr"))
for (t in c("link", "response")) {
  add("herds", "period", list(type = t))
  for (m in c("pairwise", "revpairwise", "eff", "del.eff", "trt.vs.ctrl", "trt.vs.ctrlk", "poly")) {
    add("herds", "period", list(type = t), list(method = m))
    add("herds", "period", list(type = t), list(method = m), "intervals")
  }
  add("counts", "a", list(type = t))
  add("counts", "a", list(type = t), list(method = "pairwise"))
  add("probit", "period", list(type = t))
  add("probit", "period", list(type = t), list(method = "pairwise"))
}
for (adjust in c("none", "tukey", "sidak", "bonferroni", "scheffe", "dunnettx", "holm", "hochberg", "hommel", "fdr", "BY")) {
  for (what in c("tests", "intervals")) {
    add("herds", "period", list(), list(method = "pairwise", adjust = adjust), what)
  }
}
add("herds", "period", list(), list(method = "trt.vs.ctrl", adjust = "tukey"))
add("counts", "a", list(by = "k", offset = 0))
add("counts", c("a", "k"), list(type = "response"), list(method = "pairwise"))
add("herds", "period", list(), list(method = "consec"))
add("herds", "period", list(), list(method = "consec"), "intervals")
add("herds", "period", list(), list(method = "pairwise", adjust = "mvt"))

cat(toJSON(cases, digits = I(13), auto_unbox = FALSE, null = "null", na = "null"))
