# Writes unbalanced.csv and lmertest.json: tests of fixed effects by lmerTest and pbkrtest (Rscript lmertest.R).
suppressMessages({library(lmerTest); library(pbkrtest); library(jsonlite)})
set.seed(4)
n <- 96
d <- data.frame(a = factor(sample(c("a1", "a2", "a3"), n, TRUE, c(.5, .3, .2))),
                b = factor(sample(c("b1", "b2", "b3"), n, TRUE, c(.4, .35, .25))),
                g = factor(sprintf("g%02d", sample(12, n, TRUE))),
                h = factor(sprintf("h%d", sample(7, n, TRUE))),
                x = round(rnorm(n, 3, 2), 2), w = round(rgamma(n, 2) + .2, 2))
u <- rnorm(12); v <- rnorm(12, 0, .4); s <- rnorm(7, 0, .8)
d$y <- round(10 + as.integer(d$a) + .5 * (d$b == "b2") + .8 * (d$a == "a2" & d$b == "b3") + .4 * d$x +
             u[as.integer(d$g)] + v[as.integer(d$g)] * d$x + s[as.integer(d$h)] + rnorm(n), 3)
d$z <- round(2 * d$x + rnorm(n) + 0.3 * (d$a == "a1"), 3)
d$x2 <- 2 * d$x + 1
# A response without variation between groups, for singular fits
d$flat <- round(d$y - ave(d$y, d$g) - ave(d$y, d$h) + 20 + rnorm(n, 0, .3), 3)
# Intercepts and slopes of the groups in one proportion
d$line <- round(5 + as.integer(d$a) + .7 * v[as.integer(d$g)] * (1 + d$x) + rnorm(n, 0, 2), 3)
write.csv(d, "unbalanced.csv", row.names = FALSE)

control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5), calc.derivs = FALSE,
                       check.conv.singular = "ignore", check.rankX = "silent.drop.cols")
sums <- list(a = "contr.sum", b = "contr.sum")
estimate <- function(formula, data, ..., optimizer = NULL) {
  own <- control
  if (!is.null(optimizer)) { own$optimizer <- optimizer; own$optCtrl <- list() }
  do.call(lmer, list(formula, data = data, control = own, ...))
}
# Newton steps on the entries of theta that are not zero: lme4's optimizers stop 1e-5 off
fit <- function(formula, data = d, ...) suppressMessages({
  theta <- getME(estimate(formula, data, ...), "theta")
  free <- theta > 1e-6 | theta < 0
  polish <- function(fn, par, lower, upper, control) {
    theta[!free] <- 0
    f <- function(t) { full <- theta; full[free] <- t; fn(full) }
    for (i in 1:4)
      theta[free] <- theta[free] - solve(numDeriv::hessian(f, theta[free]), numDeriv::grad(f, theta[free]))
    list(par = theta, fval = fn(theta), conv = 0, message = "")
  }
  estimate(formula, data, ..., optimizer = polish)
})
models <- list(
  treatment = fit(y ~ a * b + x + (1 | g)),
  sum = fit(y ~ a * b + x + (1 | g), contrasts = sums),
  poly = fit(y ~ a * b + x + (1 | g), contrasts = list(b = "contr.poly")),
  slopes = fit(y ~ a * x + b + (x | g)),
  independent = fit(y ~ a * x + b + (x || g)),
  crossed = fit(y ~ a * b + z + (1 | g) + (1 | h)),
  nested = fit(y ~ a / x + (1 | g)),
  means = fit(y ~ 0 + a + b + (1 | g)),
  cells = fit(y ~ a:b + (1 | g)),
  covariates = fit(y ~ x * z + a * x + (1 | g)),
  three = fit(y ~ a * b * x + (1 | g)),
  missing = fit(y ~ a * b + x + (1 | g), subset(d, !(a == "a3" & b == "b2"))),
  aliased = fit(y ~ x + x2 + a + (1 | g)),
  ml = fit(y ~ a * b + x + (1 | g) + (1 | h), REML = FALSE),
  weighted = fit(y ~ a * b + x + (1 | g), weights = d$w),
  singular = fit(flat ~ a * b + x + (1 | g) + (1 | h)),
  singular_slopes = fit(line ~ a * x + (x | g)))

table_of <- function(t) c(list(rows = rownames(t)), lapply(as.list(as.data.frame(t)), function(v) v))
reml <- fit(y ~ a * b + x + (1 | g) + (1 | h))
small <- fit(y ~ a + b + (1 | g))
# lmerTest's degrees of freedom depend on the rows of a hypothesis: those of one that has them in the reduced echelon
# form of treatment coding. Its own type III has them so, and its type II of terms that no other contains.
usual <- list(sum = models$treatment, poly = models$treatment, means = small)
echelon <- function(K) {
  K[abs(K) < 1e-9] <- 0
  pivots <- integer(0)
  for (j in seq_len(ncol(K)))
    if (length(pivots) < nrow(K) && qr(K[, c(pivots, j), drop = FALSE], tol = 1e-9)$rank > length(pivots))
      pivots <- c(pivots, j)
  solve(K[, pivots, drop = FALSE]) %*% K
}
in_echelon <- function(m, name, type) {
  tests <- show_tests(anova(m, type = type), fractions = FALSE)
  X <- getME(m, "X")
  Xt <- if (is.null(usual[[name]])) X else getME(usual[[name]], "X")
  to_usual <- solve(crossprod(X), crossprod(X, Xt))
  columns <- names(contestMD(m, diag(ncol(X))[1, ]))
  table_of(do.call(rbind, lapply(tests, function(L)
    if (nrow(L)) contestMD(m, echelon(L %*% to_usual) %*% solve(to_usual))
    else setNames(data.frame(t(rep(NA_real_, length(columns)))), columns))))
}
out <- lapply(names(models), function(name) {
  m <- models[[name]]
  values <- list(theta = getME(m, "theta"), sigma = sigma(m))
  methods <- if (name == "weighted") "Satterthwaite" else c("Satterthwaite", "Kenward-Roger")
  for (method in methods) {
    # lmerTest refuses Kenward-Roger for maximum likelihood, pbkrtest refits
    own <- if (method == "Kenward-Roger" && name == "ml") reml else m
    for (type in c("I", "II", "III"))
      values[[paste0("anova_", tolower(method), "_", type)]] <-
        table_of(suppressMessages(anova(own, type = type, ddf = method)))
    if (method == "Satterthwaite" && name != "cells")
      for (type in c("I", "II")) values[[paste0("echelon_", type)]] <- in_echelon(m, name, type)
    values[[paste0("coef_", tolower(method))]] <- table_of(coef(summary(own, ddf = method)))
    k <- length(fixef(own)); L <- diag(k)[1:min(3, k), ]
    values[[paste0("contest_", tolower(method))]] <- table_of(contest(own, L, ddf = method, rhs = c(9, .5, 1)[1:nrow(L)]))
    if (method == "Kenward-Roger") values$vcov_kr <- unname(as.matrix(vcovAdj(own)))
  }
  values
})
names(out) <- names(models)
# A model without a constant has the hypotheses that it has with one; types II and III of lmerTest do not see that.
for (type in c("II", "III")) for (method in c("Satterthwaite", "Kenward-Roger"))
  out$means[[paste0("anova_", tolower(method), "_", type)]] <- table_of(anova(small, type = type, ddf = method))
out$means$echelon_II <- in_echelon(small, "small", "II")
large <- models$treatment
kr <- KRmodcomp(large, small)$test["Ftest", ]
sat <- SATmodcomp(large, small)$test
out$comparison <- list(kr = as.list(kr), sat = as.list(sat))
write(toJSON(out, digits = 12, auto_unbox = FALSE, na = "null"), "lmertest.json")
