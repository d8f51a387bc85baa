# Reference values of R's performance, which collinearity and comparisons are those of:
#
#   Rscript tests/reference/performance.R > tests/reference/performance.json
#
# from the root of the repository (performance 0.10.2; Debian: r-cran-performance, r-cran-lme4, r-cran-jsonlite). Criteria
# are of fits by maximum likelihood: of REML fits performance takes the likelihood at other estimates than its maximum.
suppressPackageStartupMessages({
  library(lme4)
  library(performance)
  library(jsonlite)
})

tight <- lmerControl(
  optimizer = "nloptwrap",
  optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-12, ftol_abs = 1e-15, maxeval = 1e5)
)
tighter <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5), tolPwrss = 1e-13)
sleep <- read.csv("datasets/sleepstudy.csv")
teeth <- read.csv("datasets/orthodont.csv")
teeth$Sex <- factor(teeth$Sex, levels = c("Male", "Female"))
blues <- subset(read.csv("datasets/beat_the_blues.csv"), !is.na(bdi))
blues$treatment <- factor(blues$treatment, levels = c("TAU", "BtheB"))
blues$visitf <- factor(blues$visit)

collinear <- function(fit) {
  found <- as.data.frame(check_collinearity(fit, verbose = FALSE))
  list(term = found$Term, vif = found$VIF, lower = found$VIF_CI_low, upper = found$VIF_CI_high)
}
compared <- function(...) {
  found <- as.data.frame(compare_performance(..., metrics = c("AIC", "AICc", "BIC", "R2", "RMSE", "SIGMA"), verbose = FALSE))
  found[c("AIC", "AIC_wt", "AICc", "AICc_wt", "BIC", "BIC_wt", "R2_conditional", "R2_marginal", "RMSE", "Sigma")]
}

one <- lmer(Reaction ~ 1 + (1 | Subject), sleep, REML = FALSE, control = tight)
two <- lmer(Reaction ~ Days + (1 | Subject), sleep, REML = FALSE, control = tight)
three <- lmer(Reaction ~ Days + (Days | Subject), sleep, REML = FALSE, control = tight)
cat(toJSON(list(
  interaction = collinear(lmer(distance ~ age * Sex + (1 | Subject), teeth, control = tight)),
  factors = collinear(lmer(bdi ~ bdi_pre + treatment + visitf + (1 | subject), blues, control = tight)),
  generalized = collinear(glmer(TICKS ~ YEAR + cHEIGHT + (1 | BROOD), transform(grouseticks, cHEIGHT = HEIGHT - 460),
                                poisson, control = tighter)),
  compare = compared(one, two, three)
), auto_unbox = TRUE, digits = 12, pretty = TRUE), "\n")
