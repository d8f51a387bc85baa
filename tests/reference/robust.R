# Reference values for robust covariances and their tests, from clubSandwich at tight fits:
#
#   Rscript tests/reference/robust.R > tests/reference/robust.json
#
# from the root of the repository (clubSandwich 0.5.8; Debian: r-cran-lme4, r-cran-nlme, r-cran-jsonlite). clubSandwich
# refuses prior weights of lmer; nlme's varFixed(~ v) is weights = 1 / v. `f` is Wald_test's HTZ of all coefficients but
# the first.
suppressPackageStartupMessages({
  library(lme4)
  library(nlme)
  library(clubSandwich)
  library(jsonlite)
})

tight <- lmerControl(
  optimizer = "nloptwrap",
  optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-12, ftol_abs = 1e-15, maxeval = 1e5)
)
tight_lme <- lmeControl(opt = "optim", maxIter = 500, msMaxIter = 5000, tolerance = 1e-10, msTol = 1e-13)

sleep <- read.csv("datasets/sleepstudy.csv")
sleep$v <- 1 / (1 + sleep$Days %% 3)
pastes <- read.csv("datasets/pastes.csv")
teeth <- read.csv("datasets/orthodont.csv")
teeth$Sex <- factor(teeth$Sex, levels = c("Male", "Female"))
# clusters of unequal sizes, of one row and of more rows than columns
odd <- sleep[(seq_len(180) * 7) %% 11 > 3 & !(sleep$Subject == 308 & sleep$Days > 1), ]

values <- function(fit, name, data, formula, reml, weights = NULL, residual = NULL, cluster = NULL) {
  p <- length(fixef(fit))
  kinds <- lapply(c(CR0 = "CR0", CR1 = "CR1", CR2 = "CR2", CR3 = "CR3"), function(kind) {
    V <- if (is.null(cluster)) vcovCR(fit, type = kind) else vcovCR(fit, type = kind, cluster = cluster)
    tests <- as.data.frame(coef_test(fit, vcov = V, test = "Satterthwaite"))
    out <- list(cov = as.matrix(V), df = tests[[grep("^df", names(tests))[1]]])
    if (p > 2) {
      f <- Wald_test(fit, constraints = constrain_zero(2:p), vcov = V, test = "HTZ")
      out$f <- c(f$Fstat, f$df_num, f$df_denom)
    }
    out$cov <- unname(out$cov)
    attributes(out$cov) <- list(dim = c(p, p))
    out
  })
  list(name = name, data = data, formula = formula, reml = reml, weights = weights, residual = residual, kinds = kinds)
}

cases <- list(
  values(lmer(Reaction ~ Days + (Days | Subject), sleep, control = tight), "slopes", "sleep",
         "Reaction ~ Days + (Days | Subject)", TRUE),
  values(lmer(Reaction ~ Days + I(Days^2) + (1 | Subject), odd, REML = FALSE, control = tight),
         "clusters of unequal sizes, ML", "odd", "Reaction ~ Days + I(Days ** 2) + (1 | Subject)", FALSE),
  values(lmer(strength ~ cask + (1 | batch / sample), transform(pastes, sample = paste(batch, cask)), control = tight),
         "nested", "pastes", "strength ~ cask + (1 | batch / cask)", TRUE),
  values(lme(Reaction ~ Days, sleep, ~ Days | Subject, weights = varFixed(~ v), control = tight_lme), "weights",
         "sleep", "Reaction ~ Days + (Days | Subject)", TRUE, weights = "w"),
  values(lme(distance ~ age * Sex, teeth, ~ 1 | Subject, correlation = corAR1(form = ~ 1 | Subject),
             control = tight_lme), "autoregression", "teeth", "distance ~ age * Sex + (1 | Subject)", TRUE,
         residual = "ar1(age | Subject)")
)
cat(toJSON(cases, auto_unbox = TRUE, digits = 13, null = "null", pretty = TRUE), "\n")
