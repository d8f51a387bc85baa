# Reference values for models of times to an event, from survival's survreg:
#
#   Rscript tests/reference/survival.R > tests/reference/survival.json
#
# from anywhere (survival 3.5-3; Debian: r-cran-survival, r-cran-jsonlite). The groups are dealt out by the ranks of the
# residuals, so that they vary less than by chance, and the estimated variance between them is zero: a mixed model is
# then survreg's. `strata` lets the scale depend on z.
suppressPackageStartupMessages({
  library(survival)
  library(jsonlite)
})
set.seed(20)
n <- 120
x <- round(rnorm(n), 3)
z <- rep(0:1, n / 2)
true <- exp(1 + 0.5 * x) * rexp(n)^0.7
limit <- runif(n, 0.5, 9)
rows <- data.frame(time = round(pmin(true, limit), 4), event = as.integer(true <= limit), x = x, z = z)
place <- rank(log(rows$time) - 0.5 * x, ties.method = "first") - 1
rows$g <- place %% 6
rows$w <- 1 + (place %/% 6) %% 3
tight <- survreg.control(rel.tolerance = 1e-14, toler.chol = 1e-14, maxiter = 200)
values <- function(dist, formula, weighted = FALSE) {
  rows$w <- if (weighted) rows$w else 1
  fit <- survreg(formula, rows, weights = w, dist = dist, control = tight)
  k <- length(coef(fit))
  list(
    dist = dist, weighted = weighted, coef = unname(coef(fit)), scale = unname(fit$scale), llf = fit$loglik[2],
    se = unname(sqrt(diag(vcov(fit)))[1:k])
  )
}
plain <- Surv(time, event) ~ x
both <- Surv(time, event) ~ x + strata(z)
fits <- list(
  values("weibull", plain), values("exponential", plain), values("lognormal", plain),
  values("weibull", plain, TRUE), values("lognormal", plain, TRUE)
)
strata <- list(values("weibull", both), values("lognormal", both))
cat(toJSON(list(rows = rows, fits = fits, strata = strata), digits = 15, auto_unbox = TRUE, dataframe = "columns"), "\n")
