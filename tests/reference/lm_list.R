# Least squares by group as lme4's lmList has them, for tests/results/test_lm_list.py.
#   Rscript tests/reference/lm_list.R > tests/reference/lm_list.json
library(lme4)
library(jsonlite)
fit <- lmList(Reaction ~ Days | Subject, sleepstudy)
# of each lm by itself: lme4's confint does not pool
own <- confint(fit, level = 0.9)
cat(toJSON(list(
  coef = as.matrix(coef(fit)), sigma = sigma(fit), df = sum(sapply(fit, df.residual)),
  own = own[]
), digits = 14))
