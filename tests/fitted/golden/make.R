# Writes lme4's own summaries and numbers, against which tests compare mixfit's.
# usage, from the directory of this script:  Rscript make.R ../../data lme4
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
source_dir <- arguments[1]
target_dir <- arguments[2]
options(width = 80)
read <- function(name, ...) read.csv(file.path(source_dir, paste0(name, ".csv")), stringsAsFactors = TRUE, ...)

pulp <- read("pulp")
sleepstudy <- read("sleepstudy")
sleepstudy$Subject <- factor(sleepstudy$Subject)
penicillin_plates <- read("Penicillin_plates")
dyestuff2 <- read("Dyestuff2")
pastes <- read("Pastes")
cake <- read("cake")
cake$replicate <- factor(cake$replicate)
cake_f <- transform(cake, temperature = factor(temperature))
sleep_w <- transform(sleepstudy, w = 1 + (Days %% 3), o = 5 * Days)
sleep_na <- transform(sleepstudy, D2 = 2 * Days)
sleep_na$Reaction[c(3, 50)] <- NA

tight <- lmerControl(optCtrl = list(xtol_abs = 1e-13, ftol_abs = 1e-13, maxeval = 20000), calc.derivs = FALSE)
fits <- list(
  pulp_reml = lmer(bright ~ 1 + (1 | operator), pulp, control = tight),
  sleepstudy_reml = lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = tight),
  sleepstudy_ml = lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE, control = tight),
  sleepstudy_zerocorr = lmer(Reaction ~ Days + (1 | Subject) + (0 + Days | Subject), sleepstudy, control = tight),
  sleepstudy_square = lmer(Reaction ~ Days + (Days + I(Days^2) | Subject), sleepstudy, control = tight),
  sleepstudy_weights = lmer(Reaction ~ Days + (Days | Subject), sleep_w, weights = w, offset = o, control = tight),
  sleepstudy_deficient = lmer(Reaction ~ Days + D2 + (1 | Subject), sleep_na, control = tight),
  penicillin_plates_reml = lmer(diameter ~ 1 + (1 | plate) + (1 | sample), penicillin_plates, control = tight),
  dyestuff2_reml = lmer(Yield ~ 1 + (1 | Batch), dyestuff2, control = tight),
  pastes_ml = lmer(strength ~ 1 + (1 | batch) + (1 | batch:cask), pastes, REML = FALSE, control = tight),
  cake_reml = lmer(angle ~ recipe + temp + (1 | recipe:replicate), cake, control = tight),
  cake_interaction_ml = lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake_f, REML = FALSE, control = tight)
)

rows <- list()
note <- function(fit, quantity, name, value)
  rows[[length(rows) + 1]] <<- data.frame(fit, quantity, name = as.character(name), value = as.numeric(value))

for (name in names(fits)) {
  m <- fits[[name]]
  m@call$control <- NULL
  writeLines(capture.output(suppressMessages(print(summary(m)))), file.path(target_dir, paste0(name, ".txt")))
  writeLines(capture.output(print(VarCorr(m))), file.path(target_dir, paste0(name, "_varcorr.txt")))
  note(name, "theta", seq_along(getME(m, "theta")), getME(m, "theta"))
  note(name, "params", names(fixef(m)), fixef(m))
  note(name, "bse", names(fixef(m)), sqrt(diag(as.matrix(vcov(m)))))
  ll <- logLik(m)
  note(name, "scalar", c("llf", "aic", "bic", "df_resid", "npar", "sigma", "nobs", "is_singular"),
       c(ll, AIC(m), BIC(m), df.residual(m), attr(ll, "df"), sigma(m), nobs(m), isSingular(m)))
  note(name, "fitted", 1:6, fitted(m)[1:6])
  note(name, "response", 1:6, residuals(m)[1:6])
  note(name, "pearson", 1:6, residuals(m, "pearson")[1:6])
  note(name, "scaled", 1:6, residuals(m, "pearson", scaled = TRUE)[1:6])
  v <- as.data.frame(VarCorr(m))
  label <- paste(v$grp, v$var1, v$var2, sep = "|")
  note(name, "vcov", label, v$vcov)
  note(name, "sdcor", label, v$sdcor)
  r <- as.data.frame(ranef(m))
  label <- paste(r$grpvar, r$term, r$grp, sep = "|")
  note(name, "mode", label, r$condval)
  note(name, "condsd", label, r$condsd)
  for (group in names(coef(m)))
    for (column in names(coef(m)[[group]]))
      note(name, "coef", paste(group, column, rownames(coef(m)[[group]]), sep = "|"), coef(m)[[group]][[column]])
}

new <- data.frame(Days = c(0, 3, 11, NA, 2), Subject = c("308", "372", "309", "308", "new"))
m <- fits$sleepstudy_reml
predicted <- function(quantity, ...) note("sleepstudy_reml", quantity, 1:5, predict(m, new, na.action = na.pass, allow.new.levels = TRUE, ...))
predicted("predict_all")
predicted("predict_none", re.form = NA)
predicted("predict_intercept", re.form = ~ (1 | Subject))
m <- fits$pastes_ml
note("pastes_ml", "predict_batch", 1:6, predict(m, re.form = ~ (1 | batch))[1:6])
note("pastes_ml", "predict_cask", 1:6, predict(m, re.form = ~ (1 | batch:cask))[1:6])

write.csv(do.call(rbind, rows), file.path(target_dir, "numbers.csv"), row.names = FALSE)

m <- fits$cake_interaction_ml
printed <- capture.output(print(summary(m), correlation = TRUE))
writeLines(printed[-seq_len(which(printed == "Correlation of Fixed Effects:"))],
           file.path(target_dir, "cake_interaction_ml_correlation.txt"))

# formatting: random numbers of many sizes, and names as formulas make them
set.seed(1)
vectors <- lapply(1:300, function(i) signif(rnorm(sample(1:6, 1)) * 10^runif(1, -7, 7) * 10^runif(1, 0, 3 * (i %% 2)), sample(1:12, 1)))
vectors <- c(vectors, list(0, c(0, 1e-12), c(1, NaN), c(-Inf, 2.5), 1e5, 123456, 1e15, c(0.1 + 0.2, 1000), 1e-300))
coefficients <- lapply(1:200, function(i) {
  scale <- 10^runif(3, -6, 5)
  cbind(Estimate = rnorm(3) * scale, "Std. Error" = abs(rnorm(3)) * scale)
})
coefficients <- lapply(coefficients, function(x) cbind(x, "t value" = x[, 1] / x[, 2]))
# cells as a caller of printCoefmat sees them: read back from its printed columns
cells <- function(x) {
  rownames(x) <- c("a", "b", "c")
  table <- capture.output(printCoefmat(x, digits = 4))
  do.call(rbind, strsplit(trimws(sub("^[abc]", "", table[-1])), " +"))
}
names_made <- c("(Intercept)", "recipeB:temperature.L", "recipe[T.B]", "temperature[T.185]",
  "recipe[T.B]:temperature[T.185]", "I(year - 78)", "sex[T.male]", "I(year - 78):sex[T.male]",
  "a long name with spaces", "treat[T.Thiouracil]", "Days", "raven", "social[T.2]", "gender[T.girl]",
  "aeiou_AEIOU_xyz", "np.log(x + 1)", "UPPERCASENAME", "poly(x, 2)[1]", "poly(x, 2)[2]", "Surface[T.norm]",
  "irrigation[T.i2]:variety[T.v2]", "irrigation[T.i3]:variety[T.v2]", "scale(a)", "x1234567890123", "C(x, contr.sum)[S.a]")
jsonlite::write_json(list(
  format = lapply(vectors, function(x) list(x = as.character(format(x, digits = 17, trim = TRUE)), digits4 = format(x, digits = 4), digits5 = format(x, digits = 5), digits7 = format(x, digits = 7))),
  coefmat = lapply(coefficients, function(x) list(x = unname(x), cells = cells(x))),
  names = names_made,
  abbreviated = lapply(c(4, 6, 8, 11), function(k) abbreviate(names_made, k, named = FALSE))
), file.path(target_dir, "formats.json"), digits = NA, auto_unbox = FALSE)
