# glmer on the toenail trial and on some of its visits: the numbers in tests/docs/test_henderson_to_laplace.py
# and tests/glmm/test_glmm_binomial.py (lme4 1.1-31):
#
#   Rscript tests/reference/toenail.R
#
# from the root of the repository (Debian: r-cran-lme4).
suppressPackageStartupMessages(library(lme4))

toenail <- read.csv("datasets/toenail.csv", stringsAsFactors = TRUE)
toenail$y <- as.integer(toenail$outcome == "moderate or severe")
control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10, optCtrl = list(rhobeg = 0.02, rhoend = 1e-9, maxfun = 1e5))

show <- function(label, fit) {
  cat(label, sprintf("%.6f", c(logLik(fit), getME(fit, "theta"), fixef(fit))), "\n")
}

for (visits in list(1:7, c(1, 7), c(1, 4, 7), c(1, 3, 5, 7), 1:2, 1:3, 1:5)) {
  for (points in c(1, 5, 9, 25, 50, 100)) {
    fit <- glmer(y ~ treatment * time + (1 | patientID), toenail[toenail$visit %in% visits, ], binomial,
                 nAGQ = points, control = control)
    show(paste0("visits ", paste(visits, collapse = ","), ", nAGQ ", points, ":"), fit)
  }
}
for (points in c(1, 9, 25)) {
  show(paste0("cbpp, nAGQ ", points, ":"), glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial,
                                                 nAGQ = points, control = control))
}
