# Backward elimination by lmerTest's step, for tests/results/test_step.py:
#
#   Rscript tests/reference/step.R > tests/reference/step.json
#
# from the root of the repository (Debian: r-cran-lmertest, r-cran-pbkrtest, r-cran-jsonlite).
suppressPackageStartupMessages({
  library(lmerTest)
  library(jsonlite)
})
tight <- lmerControl(
  optimizer = "nloptwrap",
  optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-12, ftol_abs = 1e-15, maxeval = 1e5)
)
d <- read.csv("tests/data/step.csv", stringsAsFactors = TRUE)
cake <- read.csv("tests/data/cake.csv", stringsAsFactors = TRUE)
cake$temperature <- factor(cake$temperature)

tables <- function(s) {
  one <- function(t) c(list(rows = rownames(t)), lapply(as.list(t), function(v) ifelse(is.na(v), NA, v)))
  list(random = one(s$random), fixed = one(s$fixed), formula = paste(deparse(formula(get_model(s)), 500), collapse = ""))
}
fits <- list(
  simulated = lmer(y ~ a * b + x + (x | subject) + (1 | subject:a) + (1 | item), d, control = tight),
  columns = lmer(y ~ b + (b + x | subject), d, control = tight),
  cake = lmer(angle ~ recipe * temperature + (1 | recipe:replicate) + (1 | replicate), cake, control = tight)
)
out <- lapply(fits, function(f) tables(step(f)))
out$kept <- tables(step(fits$simulated, keep = "x", alpha.random = 0.9, alpha.fixed = 0.01))
out$kr <- tables(step(fits$simulated, ddf = "Kenward-Roger", reduce.random = FALSE))
cat(toJSON(out, digits = 12, auto_unbox = TRUE, na = "null"))
