# Writes the numbers and summaries of lme4 and glmmTMB against which tests compare generalized fits.
# usage, from the directory of this script:  Rscript generalized.R ../../../datasets generalized
suppressMessages({library(lme4); library(glmmTMB)})
arguments <- commandArgs(trailingOnly = TRUE)
source_dir <- arguments[1]
target_dir <- arguments[2]
options(width = 80)
read <- function(name, factors = character()) {
  d <- read.csv(file.path(source_dir, paste0(name, ".csv")), stringsAsFactors = TRUE)
  for (f in factors) d[[f]] <- factor(d[[f]])
  d
}
cbpp <- read("cbpp", c("herd", "period"))
contraception <- read("contraception", "district")
grouseticks <- read("grouseticks", c("INDEX", "BROOD", "YEAR", "LOCATION"))
sleepstudy <- read("sleepstudy", "Subject")
# binary, few visits, a large variance between patients: like the toenail trial
set.seed(20)
toenail_like <- data.frame(patient = rep(1:60, each = 6), visit = rep(1:6, 60), treated = rep(0:1, each = 180))
b <- rnorm(60, sd = 3)
eta <- with(toenail_like, -0.5 - 0.5 * visit - 0.3 * treated * visit + b[patient])
toenail_like$outcome <- rbinom(360, 1, plogis(eta))
write.csv(toenail_like, file.path(target_dir, "toenail_like.csv"), row.names = FALSE, quote = FALSE)
toenail_like$patient <- factor(toenail_like$patient)

tight <- glmerControl(optimizer = "nloptwrap", tolPwrss = 1e-11,
                      optCtrl = list(xtol_abs = 1e-11, ftol_abs = 1e-11, maxeval = 50000))
fits <- list(
  cbpp = glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, control = tight),
  cbpp_agq9 = glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, nAGQ = 9,
                    control = tight),
  contraception_slope = glmer(use ~ age + I(age^2) + urban + livch + (urban | district), contraception, binomial,
                              control = tight),
  grouseticks = glmer(TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION), grouseticks, poisson,
                      control = tight),
  toenail_like = glmer(outcome ~ treated * visit + (1 | patient), toenail_like, binomial, nAGQ = 9, control = tight)
)
rows <- list()
note <- function(fit, quantity, name, value)
  rows[[length(rows) + 1]] <<- data.frame(fit, quantity, name = as.character(name), value = as.numeric(value))
for (name in names(fits)) {
  m <- fits[[name]]
  m@call$control <- NULL
  writeLines(capture.output(suppressMessages(print(summary(m)))), file.path(target_dir, paste0(name, ".txt")))
  writeLines(capture.output(print(VarCorr(m))), file.path(target_dir, paste0(name, "_varcorr.txt")))
  z <- coef(summary(m))
  note(name, "params", rownames(z), z[, 1])
  note(name, "bse", rownames(z), z[, 2])
  note(name, "bse_conditional", rownames(z), sqrt(diag(as.matrix(vcov(m, use.hessian = FALSE)))))
  note(name, "pvalues", rownames(z), z[, 4])
  ll <- logLik(m)
  r <- residuals(m, "pearson")
  note(name, "scalar", c("llf", "aic", "bic", "df_resid", "npar", "sigma", "nobs", "is_singular", "deviance"),
       c(ll, AIC(m), BIC(m), df.residual(m), attr(ll, "df"), sigma(m), nobs(m), isSingular(m), deviance(m)))
  # Bolker's overdispersion test, from the formula of the GLMM FAQ
  x <- sum(r^2)
  note(name, "overdispersion", c("chisq", "ratio", "df", "pvalue"),
       c(x, x / df.residual(m), df.residual(m), pchisq(x, df.residual(m), lower.tail = FALSE)))
  for (kind in c("deviance", "pearson", "response", "working"))
    note(name, kind, 1:8, residuals(m, kind)[1:8])
  note(name, "fitted", 1:8, fitted(m)[1:8])
  note(name, "eta", 1:8, predict(m)[1:8])
  note(name, "population", 1:8, predict(m, re.form = NA, type = "response")[1:8])
  v <- as.data.frame(VarCorr(m))
  note(name, "sdcor", paste(v$grp, v$var1, v$var2, sep = "|"), v$sdcor)
  re <- as.data.frame(ranef(m))
  re <- re[re$grp %in% head(unique(re$grp), 5), ]
  label <- paste(re$grpvar, re$term, re$grp, sep = "|")
  note(name, "mode", label, re$condval)
  note(name, "condsd", label, re$condsd)
}
tmb <- list(
  cbpp = glmmTMB(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial),
  grouseticks_nb = glmmTMB(TICKS ~ YEAR + cHEIGHT + (1 | BROOD), grouseticks, nbinom2),
  sleepstudy_gamma = glmmTMB(Reaction ~ Days + (1 | Subject), sleepstudy, Gamma(log)),
  sleepstudy_beta = glmmTMB(I(Reaction / 500) ~ Days + (1 | Subject), sleepstudy, beta_family()),
  cbpp_bb = glmmTMB(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, betabinomial)
)
for (key in names(tmb)) {
  m <- tmb[[key]]
  name <- paste0("tmb_", key)
  z <- coef(summary(m))$cond
  note(name, "params", rownames(z), z[, 1])
  note(name, "bse", rownames(z), z[, 2])
  note(name, "scalar", c("llf", "npar", "df_resid"), c(logLik(m), attr(logLik(m), "df"), df.residual(m)))
  note(name, "fitted", 1:8, fitted(m)[1:8])
  note(name, "pearson", 1:8, residuals(m, "pearson")[1:8])
  p <- predict(m, type = "link", se.fit = TRUE)
  note(name, "link_se", 1:8, p$se.fit[1:8])
  q <- predict(m, type = "response", se.fit = TRUE)
  note(name, "response_se", 1:8, q$se.fit[1:8])
  if (key != "cbpp") {
    log_phi <- m$sdr$par.fixed[["betad"]]
    note(name, "dispersion", c("log", "se_log"), c(log_phi, sqrt(diag(m$sdr$cov.fixed))[["betad"]]))
  }
  if (key == "grouseticks_nb")
    note(name, "deviance", "sum", sum(MASS::negative.binomial(sigma(m))$dev.resids(m$frame$TICKS, fitted(m), 1)))
  if (key == "sleepstudy_gamma")
    note(name, "deviance", "sum", sum(Gamma()$dev.resids(m$frame$Reaction, fitted(m), rep(1, 180))))
}
write.csv(do.call(rbind, rows), file.path(target_dir, "numbers.csv"), row.names = FALSE, quote = TRUE)

# p-values as R formats them
sets <- c(list(1e-20, c(0.5, 1e-20), c(0.04, 1e-20), c(0.123, 1e-20), c(1e-5, 1e-20), c(0, 0), c(1, 0), c(NA, 0.3)),
          lapply(1:120, function(i) 10^-(runif(1 + i %% 6) * runif(1, 0.5, 20))))
lines <- vapply(sets, function(p) paste(c(format(p, digits = 17), "|", format.pval(p, digits = 3)), collapse = ";"), "")
writeLines(gsub(" ", "", gsub("< ", "<_", lines)), file.path(target_dir, "pvalues.txt"))
cat("lme4", as.character(packageVersion("lme4")), "glmmTMB", as.character(packageVersion("glmmTMB")),
    R.version.string, "\n")
