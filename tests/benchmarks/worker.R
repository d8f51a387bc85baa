# The child process of a rival in R: what worker.py is for the Python packages.
#
# The rival's script defines estimate(), from the variables data, formula, reml, family, n_agq, zi and dispersion to a fit
# with its coefficients and their standard errors, and describe(fit), its log-likelihood, effort and convergence.

args <- commandArgs(trailingOnly = TRUE)
source(args[1])
directory <- args[2]
# A formula carries the environment it was made in; nothing big may hang on it.
formula <- as.formula(args[3], env = globalenv())
reml <- args[4] == "reml"
family <- args[5]
n_agq <- as.integer(args[6])
beside <- lapply(args[7:8], function(text) if (text == "none") NULL else as.formula(text, env = globalenv()))
zi <- beside[[1]]
dispersion <- beside[[2]]

data <- read.csv(file.path(directory, "data.csv"), stringsAsFactors = FALSE, na.strings = character())
levels <- read.csv(file.path(directory, "levels.csv"), colClasses = "character", na.strings = character())
for (column in unique(levels$column)) {
  data[[column]] <- factor(data[[column]], levels = levels$level[levels$column == column])
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
if (args[9] == "warm") {
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
  about <- describe(result$fit)
  say(
    times = array(times),
    cpu = number(cpu),
    beta = array(result$beta),
    se = array(result$se),
    peak_mb = number(peak_mb()),
    loglik = number(about$loglik),
    evaluations = number(about$evaluations),
    converged = if (about$converged) "true" else "false"
  )
}
