# Which of the fits that `python -m tests.benchmarks.random_generalized --peers FOLDER` wrote have a higher likelihood by
# glmmTMB (Laplace) or lme4 (quadrature): Rscript tests/benchmarks/random_generalized.R FOLDER

suppressMessages({
  library(lme4)
  library(glmmTMB)
})
folder <- commandArgs(TRUE)[1]
models <- read.csv(file.path(folder, "models.csv"), stringsAsFactors = FALSE)
families <- list(
  "binomial" = binomial(), "binomial(probit)" = binomial("probit"), "binomial(cloglog)" = binomial("cloglog"),
  "poisson" = poisson(), "nbinom2" = nbinom2(), "gamma(log)" = Gamma("log"),
  "gaussian(log)" = list(family = "gaussian", link = "log")
)
tried <- failed <- lower <- 0
for (i in seq_len(nrow(models))) {
  m <- models[i, ]
  family <- families[[m$family]]
  if (is.null(family)) next
  d <- read.csv(file.path(folder, paste0(m$seed, ".csv")), stringsAsFactors = TRUE)
  formula <- as.formula(m$formula)
  theirs <- tryCatch(suppressMessages(suppressWarnings(
    if (m$n_agq > 1) {
      as.numeric(logLik(glmer(formula, d, family, nAGQ = m$n_agq, control = glmerControl(tolPwrss = 1e-10))))
    } else {
      fit <- glmmTMB(formula, d, family)
      # One that did not converge, or at no optimum, has no likelihood to compare with.
      if (fit$fit$convergence == 0 && isTRUE(fit$sdr$pdHess)) -fit$fit$objective else NA
    }
  )), error = function(e) NA)
  tried <- tried + 1
  if (is.na(theirs)) failed <- failed + 1
  if (!is.na(theirs) && m$loglik > theirs + 1e-3) lower <- lower + 1
  if (!is.na(theirs) && theirs > m$loglik + 5e-5) {
    cat(sprintf("%d %s %s n_agq=%d: %.6f, theirs %.6f\n", m$seed, m$formula, m$family, m$n_agq, m$loglik, theirs))
  }
}
cat(sprintf("%d models; theirs failed or at no optimum in %d, lower by 0.001 in %d\n", tried, failed, lower))
