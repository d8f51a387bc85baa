# Fits the models of a directory by lme4 (linear ones) and glmmTMB: Rscript peers.R DIRECTORY, which has models.csv
# (seed, formula, family, zi, reml) and a file of data for each seed. Writes found.csv: seed, theta in lme4's order by
# spaces, and glmmTMB's log-likelihood; nothing where a program refuses, does not converge or is at no optimum.

suppressPackageStartupMessages({
  library(lme4)
  library(glmmTMB)
})
directory <- commandArgs(trailingOnly = TRUE)[1]
models <- read.csv(file.path(directory, "models.csv"), stringsAsFactors = FALSE, na.strings = character(),
                   colClasses = c(zi = "character"))
families <- list(
  "gaussian" = gaussian(), "binomial" = binomial(), "poisson" = poisson(), "nbinom2" = nbinom2(),
  "nbinom1" = nbinom1(), "genpois" = genpois(), "gamma(log)" = Gamma("log"), "beta" = beta_family()
)
quiet <- function(fit, otherwise) {
  tryCatch(suppressMessages(suppressWarnings(fit())), error = function(e) otherwise)
}
found <- lapply(seq_len(nrow(models)), function(i) {
  m <- models[i, ]
  data <- read.csv(file.path(directory, paste0(m$seed, ".csv")), stringsAsFactors = TRUE)
  formula <- as.formula(gsub("**", "^", m$formula, fixed = TRUE))
  reml <- as.logical(m$reml)
  theta <- ""
  if (m$family == "gaussian") {
    theta <- quiet(function() {
      fit <- lmer(formula, data, REML = reml, control = lmerControl(calc.derivs = FALSE))
      paste(format(getME(fit, "theta"), digits = 17), collapse = " ")
    }, "")
  }
  loglik <- quiet(function() {
    fit <- glmmTMB(formula, data, families[[m$family]], ziformula = if (nzchar(m$zi)) as.formula(m$zi) else ~0,
                   REML = m$family == "gaussian" && reml)
    if (fit$fit$convergence == 0 && isTRUE(fit$sdr$pdHess)) -fit$fit$objective else NA_real_
  }, NA_real_)
  data.frame(seed = m$seed, theta = theta, loglik = loglik)
})
write.csv(do.call(rbind, found), file.path(directory, "found.csv"), row.names = FALSE)
