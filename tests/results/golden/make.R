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
