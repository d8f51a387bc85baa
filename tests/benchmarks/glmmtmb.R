suppressWarnings(suppressPackageStartupMessages(library(glmmTMB)))

estimate <- function() {
  fit <- glmmTMB(formula, data, family = get(family)(), REML = reml)
  list(fit = fit, beta = fixef(fit)$cond, se = sqrt(diag(vcov(fit)$cond)))
}

describe <- function(fit) {
  list(
    loglik = as.numeric(logLik(fit)),
    evaluations = unname(fit$fit$evaluations["function"]),
    converged = fit$fit$convergence == 0
  )
}
