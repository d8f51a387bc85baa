# Reference values for effect sizes, from effectsize and emmeans:
#
#   Rscript tests/reference/effect_sizes.R > tests/reference/effect_sizes.json
#
# (Debian: r-cran-effectsize, r-cran-emmeans, r-cran-lme4, r-cran-jsonlite.)
suppressPackageStartupMessages({
  library(effectsize)
  library(emmeans)
  library(lme4)
  library(jsonlite)
})
ratios <- list(c(20.52, 5, 210), c(0.249, 2, 42), c(45.85, 1, 17), c(1.01, 10, 210), c(3.2, 3, 7.4))
shares <- lapply(ratios, function(r) {
  of <- function(f) unlist(unname(as.data.frame(f(r[1], r[2], r[3], ci = 0.95, alternative = "two.sided"))[c(1, 3, 4)]))
  list(ratio = r, eta = of(F_to_eta2), omega = of(F_to_omega2), epsilon = of(F_to_epsilon2))
})
fit <- lmer(angle ~ recipe + temp + (1 | recipe:replicate), cake)
sizes <- as.data.frame(eff_size(emmeans(fit, "recipe"), sigma = 5, edf = 40))
# Subject by name, not in the order of its levels
teeth <- with(nlme::Orthodont, data.frame(distance, age, Subject = factor(as.character(Subject)), Sex))
growth <- lmer(distance ~ age * Sex + (1 | Subject), teeth)
sleep <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
standard <- function(fit) {
  of <- function(m) parameters::standardize_parameters(fit, method = m, ci = NULL)$Std_Coefficient
  lapply(c(refit = "refit", basic = "basic", pseudo = "pseudo"), of)
}
standardized <- list(growth = standard(growth), sleep = standard(sleep))
cat(toJSON(list(shares = shares, d = sizes$effect.size, SE = sizes$SE, standardized = standardized), digits = 10))
