suppressPackageStartupMessages(library(lme4))

estimate <- function() {
  fit <- if (family == "gaussian") {
    lmer(formula, data, REML = reml)
  } else {
    glmer(formula, data, family = family, nAGQ = n_agq)
  }
  list(fit = fit, beta = fixef(fit), se = sqrt(diag(as.matrix(vcov(fit)))))
}

describe <- function(fit) {
  list(
    loglik = as.numeric(logLik(fit)),
    evaluations = fit@optinfo$feval,
    converged = fit@optinfo$conv$opt == 0
  )
}
