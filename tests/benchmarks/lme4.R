# The child process of lme4: what worker.py is for the Python packages.

suppressPackageStartupMessages(library(lme4))

args <- commandArgs(trailingOnly = TRUE)
directory <- args[1]
# A formula carries the environment it was made in; nothing big may hang on it.
formula <- as.formula(args[2], env = globalenv())
reml <- args[3] == "reml"

data <- read.csv(file.path(directory, "data.csv"), stringsAsFactors = FALSE, na.strings = character())
levels <- read.csv(file.path(directory, "levels.csv"), colClasses = "character", na.strings = character())
for (column in unique(levels$column)) {
  data[[column]] <- factor(data[[column]], levels = levels$level[levels$column == column])
}

estimate <- function() {
  fit <- lmer(formula, data, REML = reml)
  list(fit = fit, beta = fixef(fit), se = sqrt(diag(as.matrix(vcov(fit)))))
}

peak_mb <- function() {
  status <- tryCatch(readLines("/proc/self/status"), error = function(e) character())
  line <- grep("^VmHWM:", status, value = TRUE)
  if (length(line)) as.numeric(gsub("[^0-9]", "", line)) * 1024 / 1e6 else NA
}

number <- function(x) ifelse(is.finite(x), sprintf("%.17g", x), "null")
array <- function(x) paste0("[", paste(number(x), collapse = ","), "]")
say <- function(...) {
  fields <- c(...)
  cat("{", paste0('"', names(fields), '":', fields, collapse = ","), "}\n", sep = "")
  flush(stdout())
}

first <- NA
if (args[4] == "warm") {
  start <- Sys.time()
  invisible(estimate())
  first <- as.numeric(difftime(Sys.time(), start, units = "secs"))
}
say(first = number(first))

input <- file("stdin", open = "r")
while (length(line <- readLines(input, n = 1))) {
  count <- as.integer(line)
  times <- numeric(count)
  cpu <- 0
  for (i in seq_len(count)) {
    result <- NULL
    start_cpu <- sum(proc.time()[1:2])
    start <- Sys.time()
    result <- estimate()
    times[i] <- as.numeric(difftime(Sys.time(), start, units = "secs"))
    cpu <- cpu + sum(proc.time()[1:2]) - start_cpu
  }
  fit <- result$fit
  say(
    times = array(times),
    cpu = number(cpu),
    beta = array(result$beta),
    se = array(result$se),
    peak_mb = number(peak_mb()),
    loglik = number(as.numeric(logLik(fit))),
    evaluations = number(fit@optinfo$feval),
    converged = if (fit@optinfo$conv$opt == 0) "true" else "false"
  )
}
