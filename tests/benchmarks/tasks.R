# The tasks by R: tasks.R NAME DIRECTORY REPEATS. Each function takes the data and makes the fits, which are not
# timed, and gives what is: a function without arguments that returns the numbers to compare.

suppressWarnings(suppressPackageStartupMessages({
  library(lme4)
  library(pbkrtest)
  library(RLRsim)
}))

pb_modcomp <- function(data) {
  large <- lmer(yield ~ treat + (1 | blend), data, REML = FALSE)
  small <- lmer(yield ~ 1 + (1 | blend), data, REML = FALSE)
  function() {
    test <- suppressMessages(suppressWarnings(PBmodcomp(large, small, nsim = 1000, seed = 1)))$test
    c(test["LRT", "stat"], test["PBtest", "p.value"])
  }
}

bootstrap_intervals <- function(data) {
  fit <- lmer(Reaction ~ Days + (Days | Subject), data)
  function() {
    set.seed(1)
    limits <- suppressMessages(suppressWarnings(confint(fit, method = "boot", nsim = 1000, boot.type = "perc")))
    limits["Days", ]
  }
}

# A loop of refits, which is what simr's powerSim is.
power <- function(data) {
  fit <- lmer(Reaction ~ Days + (Days | Subject), data)
  stated <- list(beta = c(fixef(fit)[[1]], 3.5), theta = getME(fit, "theta"), sigma = sigma(fit))
  function() {
    drawn <- simulate(fit, nsim = 1000, seed = 1, newparams = stated, re.form = NA)
    refits <- lapply(drawn, function(y) suppressMessages(suppressWarnings(refit(fit, y))))
    mean(sapply(refits, function(m) abs(fixef(m)[["Days"]]) > qnorm(0.975) * sqrt(vcov(m)[2, 2])))
  }
}

profile_intervals <- function(data) {
  fit <- lmer(Reaction ~ Days + (Days | Subject), data)
  function() as.vector(t(suppressMessages(confint(fit, method = "profile"))))
}

exact_rlrt <- function(data) {
  fit <- lmer(bright ~ 1 + (1 | operator), data)
  function() unname(exactRLRT(fit, nsim = 10000, seed = 1)$statistic)
}

kr_exam <- function(data) {
  large <- lmer(score ~ intake + sex + (intake | school), data)
  small <- lmer(score ~ 1 + (intake | school), data)
  function() {
    test <- KRmodcomp(large, small)$test
    c(test["Ftest", "stat"], test["Ftest", "ddf"])
  }
}

# nlmer warns where it stops short of its tolerance.
growth_laplace <- function(data) {
  start <- c(Asym = 95, xmid = 4.2, scal = 1)
  data$g <- factor(data$g)
  function() fixef(suppressWarnings(nlmer(y ~ SSlogis(t, Asym, xmid, scal) ~ (Asym + xmid | g), data, start = start)))
}

growth_lb <- function(data) {
  data$g <- factor(data$g)
  function() {
    nlme::fixef(nlme::nlme(y ~ SSlogis(t, Asym, xmid, scal), data,
      fixed = Asym + xmid + scal ~ 1, random = Asym + xmid ~ 1 | g, start = c(95, 4.2, 1)
    ))
  }
}

orange_laplace <- function(data) {
  start <- c(Asym = 200, xmid = 725, scal = 350)
  data$g <- factor(data$g)
  function() fixef(suppressWarnings(nlmer(y ~ SSlogis(t, Asym, xmid, scal) ~ (Asym | g), data, start = start)))
}

orange_lb <- function(data) {
  data$g <- factor(data$g)
  function() {
    nlme::fixef(nlme::nlme(y ~ SSlogis(t, Asym, xmid, scal), data,
      fixed = Asym + xmid + scal ~ 1, random = Asym ~ 1 | g, start = c(200, 725, 350)
    ))
  }
}

args <- commandArgs(trailingOnly = TRUE)
data <- read.csv(file.path(args[2], "data.csv"), stringsAsFactors = FALSE, na.strings = character())
levels <- read.csv(file.path(args[2], "levels.csv"), colClasses = "character", na.strings = character())
for (column in unique(levels$column)) {
  data[[column]] <- factor(data[[column]], levels = levels$level[levels$column == column])
}

compute <- get(args[1])(data)
times <- numeric(as.integer(args[3]))
# A warm-up where it is short.
if (length(times) > 1) invisible(compute())
for (i in seq_along(times)) {
  start <- Sys.time()
  numbers <- compute()
  times[i] <- as.numeric(difftime(Sys.time(), start, units = "secs"))
}
array <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ","), "]")
cat('{"times":', array(times), ',"numbers":', array(numbers), "}\n", sep = "")
