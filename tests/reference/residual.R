# Reference values for residual covariances, from nlme at tight tolerances:
#
#   Rscript tests/reference/residual.R > tests/reference/residual.json
#
# from the root of the repository (Debian: r-cran-nlme, r-cran-jsonlite). `sigma` is the residual standard deviation at
# the first place and stratum, as nlme has it; `parameters` are correlations, ratios of standard deviations to the
# first, or coefficients of their logarithm. gls() by maximum likelihood multiplies standard errors by
# sqrt(n / (n - p)), which is undone here.
suppressPackageStartupMessages({
  library(nlme)
  library(jsonlite)
})

teeth <- read.csv("datasets/orthodont.csv")
teeth$Sex <- factor(teeth$Sex, levels = c("Male", "Female"))
# varIdent's reference is the stratum of the first group.
teeth$Subject <- factor(teeth$Subject, levels = unique(teeth$Subject))
teeth$visit <- as.integer(factor(teeth$age))
blues <- read.csv("datasets/beat_the_blues.csv")
blues$treatment <- factor(blues$treatment, levels = c("TAU", "BtheB"))
blues$visitf <- factor(blues$visit)

tight <- glsControl(opt = "optim", maxIter = 500, msMaxIter = 5000, tolerance = 1e-10, msTol = 1e-13)
# optim stops far from the optimum of a Gaussian correlation (log-likelihood -214.32 for -214.05).
nlminb_tight <- glsControl(maxIter = 500, msMaxIter = 5000, tolerance = 1e-10, msTol = 1e-13)
tight_lme <- lmeControl(opt = "optim", maxIter = 500, msMaxIter = 5000, tolerance = 1e-10, msTol = 1e-13)

values <- function(fit, name, data, formula, method, residual = NULL, dispersion = NULL) {
  fixed <- if (inherits(fit, "lme")) fixef(fit) else coef(fit)
  se <- sqrt(diag(vcov(fit)))
  n <- nobs(fit)
  if (inherits(fit, "gls") && method == "ML") se <- se * sqrt((n - length(fixed)) / n)
  list(
    name = name, data = data, formula = formula, method = method, residual = residual, dispersion = dispersion,
    loglik = as.numeric(logLik(fit)), df = attr(logLik(fit), "df"), fixed = unname(fixed), se = unname(se),
    sigma = fit$sigma, parameters = as.numeric(coef(fit$modelStruct, unconstrained = FALSE))
  )
}

of_teeth <- function(name, residual, dispersion, correlation, weights, method = "REML", control = tight) {
  fit <- gls(distance ~ age * Sex, teeth, correlation, weights, method = method, control = control)
  values(fit, name, "orthodont", "distance ~ age * Sex", method, residual, dispersion)
}
of_blues <- function(name, residual, dispersion, correlation, weights, method = "REML") {
  fit <- gls(bdi ~ bdi_pre + treatment * visitf, blues, correlation, weights, method = method, control = tight)
  values(fit, name, "beat_the_blues", "bdi ~ bdi_pre + treatment * C(visit)", method, residual, dispersion)
}

out <- list(
  of_teeth("unstructured", "us(age | Subject)", NULL, corSymm(form = ~ visit | Subject), varIdent(form = ~ 1 | visit)),
  of_teeth("compound symmetry", "homcs(age | Subject)", NULL, corCompSymm(form = ~ 1 | Subject), NULL, "ML"),
  of_teeth("strata", NULL, "~ Sex", NULL, varIdent(form = ~ 1 | Sex)),
  of_teeth("covariate", NULL, "~ age", NULL, varExp(form = ~age)),
  of_teeth("autoregression in strata", "ar1(age | Subject)", "~ Sex", corAR1(form = ~ visit | Subject),
           varIdent(form = ~ 1 | Sex), "ML"),
  of_blues("unstructured, visits missing", "us(visit | subject)", NULL, corSymm(form = ~ visit | subject),
           varIdent(form = ~ 1 | visitf)),
  of_blues("continuous time", "car1(month | subject)", NULL, corCAR1(form = ~ month | subject), NULL, "ML"),
  of_blues("heterogeneous autoregression", "hetar1(visit | subject)", NULL, corAR1(form = ~ visit | subject),
           varIdent(form = ~ 1 | visitf)),
  of_teeth("exponential with a nugget", "exp(age | Subject, nugget)", NULL,
           corExp(form = ~ age | Subject, nugget = TRUE), NULL),
  of_teeth("gaussian with a nugget", "gau(age | Subject, nugget)", NULL,
           corGaus(c(3, 0.3), form = ~ age | Subject, nugget = TRUE), NULL, "ML", nlminb_tight)
)
slopes <- lme(distance ~ age * Sex, teeth, ~ age | Subject, weights = varIdent(form = ~ 1 | Sex), method = "ML",
              control = tight_lme)
intercepts <- lme(bdi ~ bdi_pre + treatment + month, blues, ~ 1 | subject, corAR1(form = ~ visit | subject),
                  method = "REML", control = tight_lme)
random <- list(
  values(slopes, "slopes in strata", "orthodont", "distance ~ age * Sex + (age | Subject)", "ML", NULL, "~ Sex"),
  values(intercepts, "intercept and autoregression", "beat_the_blues",
         "bdi ~ bdi_pre + treatment + month + (1 | subject)", "REML", "ar1(visit | subject)")
)
cat(toJSON(c(out, random), digits = 12, auto_unbox = TRUE, null = "null", pretty = TRUE), "\n")
