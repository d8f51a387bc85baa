# Reference values for the families that lme4 does not have, from glmmTMB at tight tolerances:
#
#   Rscript tests/reference/glmmtmb.R > tests/reference/glmmtmb.json
#
# from the root of the repository (Debian: r-cran-glmmtmb, r-cran-jsonlite). `phi` is the dispersion as mixfit
# defines it: glmmTMB's sigma() for nbinom2, beta and betabinomial; its square for Gamma, where sigma() is the
# coefficient of variation. glmmTMB's own parameters are log phi (Gamma: -log phi) and the log standard deviations,
# so their standard errors need no translation.
#
# glmmTMB has no inverse Gaussian family here, and glmer's differs in definition (it profiles the dispersion from
# the penalized deviance, which also scales the random effects). The inverse Gaussian values are therefore the
# maximum of the marginal likelihood itself, every group's integral by integrate().
suppressPackageStartupMessages({
  library(lme4)
  library(glmmTMB)
  library(jsonlite)
})

# Newton steps after nlminb, whose own tolerance leaves gradients of 1e-3.
newton <- function(start, objective, gradient, control) {
  fit <- nlminb(start, objective, gradient, control = list(iter.max = 1000, eval.max = 2000))
  for (step in 1:4) {
    fit$par <- fit$par - solve(optimHess(fit$par, objective, gradient), as.numeric(gradient(fit$par)))
  }
  fit$objective <- objective(fit$par)
  fit
}
tight <- glmmTMBControl(optimizer = newton, optCtrl = list())

from_glmmtmb <- function(data, formula, python, distribution, name, weights = NULL, offset = NULL) {
  fit <- do.call(glmmTMB, list(formula = formula, data = data, family = distribution, control = tight))
  fixed <- fixef(fit)$cond
  all <- sqrt(diag(vcov(fit, full = TRUE)))
  p <- length(fixed)
  stopifnot(max(abs(fit$obj$gr(fit$fit$par))) < 1e-6, fit$sdr$pdHess)
  square <- if (family(fit)$family == "Gamma") 2 else 1
  groups <- VarCorr(fit)$cond
  list(
    data = name[[1]], formula = python, family = name[[2]], weights = weights, offset = offset,
    loglik = as.numeric(logLik(fit)),
    fixef_names = I(names(fixed)), fixef = I(unname(fixed)), se = I(unname(all[seq_len(p)])),
    sd = lapply(groups, function(v) I(unname(attr(v, "stddev")))),
    correlation = lapply(groups, function(v) {
      r <- attr(v, "correlation")
      I(unname(r[lower.tri(r)]))
    }),
    phi = sigma(fit)^square,
    log_phi_se = unname(all[p + 1]),
    log_sd_se = I(unname(all[-seq_len(p + 1)]))
  )
}

inverse_gaussian <- function(data) {
  groups <- split(data, data$g)
  density <- function(y, mu, phi) -0.5 * log(2 * pi * phi * y^3) - (y - mu)^2 / (2 * phi * mu^2 * y)
  one <- function(d, beta, sd, phi) {
    joint <- function(u) {
      sapply(u, function(v) {
        sum(density(d$wald, exp(beta[1] + beta[2] * d$x + sd * v), phi)) + dnorm(v, log = TRUE)
      })
    }
    best <- optimize(joint, c(-8, 8), maximum = TRUE, tol = 1e-10)
    kernel <- function(u) exp(joint(u) - best$objective)
    best$objective + log(integrate(kernel, best$maximum - 8, best$maximum + 8,
                                   rel.tol = 1e-11, subdivisions = 500L)$value)
  }
  objective <- function(par) {
    # A line search may try absurd scales.
    if (any(abs(par) > 2.5)) return(1e10)
    -sum(sapply(groups, one, par[1:2], exp(par[3]), exp(par[4])))
  }
  start <- c(0.5, 0.4, log(0.5), log(0.3))
  fit <- optim(start, objective, method = "BFGS", control = list(reltol = 1e-15, maxit = 500),
               hessian = FALSE)
  fit <- nlminb(fit$par, objective, control = list(rel.tol = 1e-14, x.tol = 1e-11))
  hessian <- optimHess(fit$par, objective, control = list(ndeps = rep(1e-3, 4)))
  se <- sqrt(diag(solve(hessian)))
  list(
    data = "dispersion", formula = "wald ~ x + (1|g)", family = "inverse.gaussian(log)", weights = NULL,
    offset = NULL, loglik = -fit$objective, fixef_names = I(c("(Intercept)", "x")), fixef = I(fit$par[1:2]),
    se = I(se[1:2]), sd = list(g = I(exp(fit$par[3]))), correlation = list(g = I(numeric(0))),
    phi = exp(fit$par[4]), log_phi_se = se[4], log_sd_se = I(se[3])
  )
}

simulated <- read.csv("tests/data/dispersion.csv", stringsAsFactors = TRUE)
fits <- list(
  nbinom2_grouseticks = from_glmmtmb(
    grouseticks, TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | LOCATION),
    "TICKS ~ YEAR + cHEIGHT + (1|BROOD) + (1|LOCATION)", nbinom2, c("grouseticks", "nbinom2")
  ),
  nbinom2_offset = from_glmmtmb(
    simulated, count ~ x + offset(log(exposure)) + (1 | g) + (1 | h),
    "count ~ x + (1|g) + (1|h)", nbinom2, c("dispersion", "nbinom2"), offset = "log(exposure)"
  ),
  nbinom2_slope = from_glmmtmb(
    simulated, count ~ x + offset(log(exposure)) + (x | g), "count ~ x + (x|g)", nbinom2,
    c("dispersion", "nbinom2"), offset = "log(exposure)"
  ),
  betabinomial_cbpp = from_glmmtmb(
    cbpp, cbind(incidence, size - incidence) ~ period + (1 | herd),
    "cbind(incidence, size - incidence) ~ period + (1|herd)", betabinomial, c("cbpp", "betabinomial")
  ),
  betabinomial_simulated = from_glmmtmb(
    simulated, cbind(successes, trials - successes) ~ x + (1 | g),
    "cbind(successes, trials - successes) ~ x + (1|g)", betabinomial, c("dispersion", "betabinomial")
  ),
  beta_simulated = from_glmmtmb(
    simulated, beta ~ x + (1 | g), "beta ~ x + (1|g)", beta_family, c("dispersion", "beta")
  ),
  beta_slope = from_glmmtmb(
    simulated, beta ~ x + (x | g), "beta ~ x + (x|g)", beta_family, c("dispersion", "beta")
  ),
  gamma_simulated = from_glmmtmb(
    simulated, gamma ~ x + (1 | g), "gamma ~ x + (1|g)", Gamma("log"), c("dispersion", "gamma(log)")
  ),
  gamma_slope = from_glmmtmb(
    simulated, gamma ~ x + (x | g), "gamma ~ x + (x|g)", Gamma("log"), c("dispersion", "gamma(log)")
  ),
  inverse_gaussian_simulated = inverse_gaussian(simulated)
)
versions <- list(R = as.character(getRversion()), glmmTMB = as.character(packageVersion("glmmTMB")),
                 lme4 = as.character(packageVersion("lme4")))
cat(toJSON(list(versions = versions, fits = fits), digits = I(13), auto_unbox = TRUE, null = "null", pretty = TRUE), "\n")
