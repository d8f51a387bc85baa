# Fits the models of a directory by lme4: Rscript random_models.R DIRECTORY, which has models.csv (seed, formula, reml,
# weights, offset) and a file of data for each seed. Writes theta.csv: seed, and theta in lme4's order, by spaces.

suppressPackageStartupMessages(library(lme4))
directory <- commandArgs(trailingOnly = TRUE)[1]
models <- read.csv(file.path(directory, "models.csv"), stringsAsFactors = FALSE)
control <- lmerControl(check.nobs.vs.nRE = "ignore", check.nobs.vs.rankZ = "ignore", check.nobs.vs.nlev = "ignore",
                       calc.derivs = FALSE)

theta <- vapply(seq_len(nrow(models)), function(i) {
  model <- models[i, ]
  data <- read.csv(file.path(directory, paste0(model$seed, ".csv")), stringsAsFactors = TRUE)
  weight <- if (nzchar(model$weights)) data[[model$weights]] else rep(1, nrow(data))
  known <- if (nzchar(model$offset)) data[[model$offset]] else rep(0, nrow(data))
  formula <- as.formula(model$formula)
  environment(formula) <- environment()
  tryCatch(
    paste(format(getME(suppressMessages(suppressWarnings(
      lmer(formula, data, REML = as.logical(model$reml), weights = weight, offset = known, control = control)
    )), "theta"), digits = 17), collapse = " "),
    error = function(e) ""
  )
}, "")
write.csv(data.frame(seed = models$seed, theta = theta), file.path(directory, "theta.csv"), row.names = FALSE)
