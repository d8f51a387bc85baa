# Reference values for glmer's nAGQ = 0 and for penalized quasi-likelihood, at tight tolerances:
#
#   Rscript tests/reference/fast_pql.R > tests/reference/fast_pql.json
#
# from the root of the repository (Debian: r-cran-lme4, r-cran-nlme, r-cran-jsonlite). The working linear
# models of the quasi-likelihood are nlme's lme by maximum likelihood, as in MASS::glmmPQL, whose loop stops at a
# relative change of 1e-3 in the linear predictor: it is run here until nothing moves. The residual variance of the
# working response is 1 for binomial and Poisson families (`sigma` NULL: estimated).
suppressPackageStartupMessages({
  library(lme4)
  library(nlme)
  library(jsonlite)
})

fast <- function(data, formula, python, distribution, name, offset = NULL) {
  control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10, optCtrl = list(rhobeg = 0.02, rhoend = 1e-9, maxfun = 1e5))
  fit <- do.call(glmer, list(formula = formula, data = data, family = distribution, nAGQ = 0, control = control))
  list(
    data = name[[1]], formula = python, family = name[[2]], offset = offset,
    loglik = as.numeric(logLik(fit)), aic = AIC(fit), bic = BIC(fit), df_resid = df.residual(fit),
    fixef = I(unname(fixef(fit))), cov = unname(as.matrix(vcov(fit))), theta = I(unname(getME(fit, "theta"))),
    title = sub(" \\[glmerMod\\]", "", paste(trimws(capture.output(print(summary(fit)))[1:2]), collapse = " "))
  )
}

pql <- function(data, fixed, random, python, distribution, name, sigma = 1) {
  start <- glm(fixed, distribution, data)
  y <- start$y
  prior <- start$prior.weights
  eta <- start$linear.predictors
  control <- do.call(lmeControl, c(if (is.null(sigma)) NULL else list(sigma = sigma), list(
    maxIter = 500, msMaxIter = 500, msMaxEval = 2000, tolerance = 1e-12, msTol = 1e-14, niterEM = 50, opt = "nlminb"
  )))
  working <- update(fixed, working ~ .)
  for (step in 1:200) {
    mu <- distribution$linkinv(eta)
    slope <- distribution$mu.eta(eta)
    data$working <- eta + (y - mu) / slope
    data$inverse <- distribution$variance(mu) / (prior * slope^2)
    fit <- do.call(lme, list(fixed = working, random = random, data = data, weights = varFixed(~inverse),
                             method = "ML", control = control))
    last <- eta
    # Half a step: the inverse Gaussian's working models would go round in circles.
    eta <- 0.5 * (last + as.numeric(fitted(fit)))
    if (max(abs(eta - last)) < 1e-9) break
  }
  blocks <- rev(lapply(as.matrix(fit$modelStruct$reStruct), function(m) as.matrix(m) * fit$sigma^2))
  stopifnot(max(abs(eta - last)) < 1e-9)
  list(
    data = name[[1]], formula = python, family = name[[2]], fixef = I(unname(fixef(fit))), cov = unname(vcov(fit)),
    covariances = lapply(blocks, unname), phi = fit$sigma^2
  )
}

read <- function(name) read.csv(sprintf("tests/data/%s.csv", name), stringsAsFactors = TRUE)
simulated <- read("dispersion")
toenail <- read.csv("datasets/toenail.csv", stringsAsFactors = TRUE)
toenail$outcome <- as.integer(toenail$outcome == "moderate or severe")
contraception <- read.csv("datasets/contraception.csv", stringsAsFactors = TRUE)
contraception$use <- as.integer(contraception$use == "Y")
contraception$district <- factor(contraception$district)
herds <- cbind(incidence, size - incidence) ~ period + (1 | herd)
herds_python <- "cbind(incidence, size - incidence) ~ period + (1|herd)"
fast_fits <- list(
  cbpp = fast(cbpp, herds, herds_python, binomial(), c("cbpp", "binomial")),
  cbpp_probit = fast(cbpp, herds, herds_python, binomial("probit"), c("cbpp", "binomial(probit)")),
  cbpp_cloglog = fast(cbpp, herds, herds_python, binomial("cloglog"), c("cbpp", "binomial(cloglog)")),
  verbagg = fast(
    VerbAgg, r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item),
    "r2 ~ Anger + Gender + btype + situ + (1|id) + (1|item)", binomial(), c("verbagg", "binomial")
  ),
  contraception_slope = fast(
    contraception, use ~ age + I(age^2) + urban + livch + (urban | district),
    "use ~ age + I(age**2) + urban + livch + (urban|district)", binomial(), c("contraception", "binomial")
  ),
  toenail = fast(
    toenail, outcome ~ treatment * visit + (1 | patientID), "outcome ~ treatment * visit + (1|patientID)",
    binomial(), c("toenail", "binomial")
  ),
  grouseticks = fast(
    grouseticks, TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION),
    "TICKS ~ YEAR + cHEIGHT + (1|BROOD) + (1|INDEX) + (1|LOCATION)", poisson(), c("grouseticks", "poisson")
  ),
  poisson_crossed = fast(
    simulated, count ~ x + offset(log(exposure)) + (1 | g) + (1 | h), "count ~ x + (1|g) + (1|h)", poisson(),
    c("dispersion", "poisson"), offset = "log(exposure)"
  ),
  poisson_sqrt = fast(
    simulated, count ~ x + (1 | h), "count ~ x + (1|h)", poisson("sqrt"), c("dispersion", "poisson(sqrt)")
  )
)
pql_fits <- list(
  cbpp = pql(cbpp, cbind(incidence, size - incidence) ~ period, ~ 1 | herd, herds_python, binomial(),
             c("cbpp", "binomial")),
  cbpp_cloglog = pql(cbpp, cbind(incidence, size - incidence) ~ period, ~ 1 | herd, herds_python, binomial("cloglog"),
                     c("cbpp", "binomial(cloglog)")),
  contraception_slope = pql(
    contraception, use ~ age + I(age^2) + urban + livch, ~ urban | district,
    "use ~ age + I(age**2) + urban + livch + (urban|district)", binomial(), c("contraception", "binomial")
  ),
  toenail = pql(toenail, outcome ~ treatment * visit, ~ 1 | patientID, "outcome ~ treatment * visit + (1|patientID)",
                binomial(), c("toenail", "binomial")),
  grouseticks = pql(grouseticks, TICKS ~ YEAR + cHEIGHT, ~ 1 | LOCATION / BROOD,
                    "TICKS ~ YEAR + cHEIGHT + (1|LOCATION/BROOD)", poisson(), c("grouseticks", "poisson")),
  gamma_slope = pql(simulated, gamma ~ x, ~ x | g, "gamma ~ x + (x|g)", Gamma("log"), c("dispersion", "gamma(log)"),
                    sigma = NULL),
  wald = pql(simulated, wald ~ x, ~ 1 | g, "wald ~ x + (1|g)", inverse.gaussian("log"),
             c("dispersion", "inverse.gaussian(log)"), sigma = NULL)
)
versions <- list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")),
                 nlme = as.character(packageVersion("nlme")))
cat(toJSON(list(versions = versions, fast = fast_fits, pql = pql_fits), digits = I(13), auto_unbox = TRUE,
           null = "null", pretty = TRUE), "\n")
