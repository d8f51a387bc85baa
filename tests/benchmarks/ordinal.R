suppressPackageStartupMessages(library(ordinal))

estimate <- function() {
  fit <- clmm(formula, data, nAGQ = n_agq)
  beta <- coef(fit)
  list(fit = fit, beta = beta, se = sqrt(diag(vcov(fit)))[seq_along(beta)])
}

describe <- function(fit) {
  list(
    loglik = as.numeric(logLik(fit)),
    evaluations = unname(fit$optRes$counts["function"]),
    converged = fit$optRes$convergence == 0
  )
}
