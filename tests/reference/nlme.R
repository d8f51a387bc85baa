# Fits by nlme's algorithm, of the data sets in tests/data, for tests/test_nonlinear.py.
#   Rscript tests/reference/nlme.R > tests/reference/nlme.json
# Tolerances are its own: with smaller ones its halving of steps gives up.

suppressPackageStartupMessages(library(nlme))

orange <- nlme(circumference ~ SSlogis(age, Asym, xmid, scal), Orange,
  fixed = Asym + xmid + scal ~ 1, random = Asym ~ 1 | Tree, start = c(190, 725, 345)
)
loblolly <- nlme(height ~ SSasymp(age, Asym, R0, lrc), Loblolly,
  fixed = Asym + R0 + lrc ~ 1, random = Asym ~ 1 | Seed, start = c(103, -8.5, -3.3)
)
co2 <- nlme(uptake ~ SSasympOff(conc, Asym, lrc, c0), CO2,
  fixed = Asym + lrc + c0 ~ 1, random = Asym ~ 1 | Plant, start = c(33, -4.5, 50)
)
theoph <- nlme(conc ~ SSfol(Dose, Time, lKe, lKa, lCl), Theoph,
  fixed = lKe + lKa + lCl ~ 1, random = pdDiag(lKa + lCl ~ 1), groups = ~Subject, start = c(-2.4, 0.45, -3.2)
)
array <- function(x) paste0("[", paste(sprintf("%.10g", x), collapse = ", "), "]")
row <- function(data, formula, fit) {
  sprintf(
    '{"data": "%s", "formula": "%s", "loglik": %.10g, "fixef": %s, "se": %s, "sigma": %.10g, "sd": %s}',
    data, formula, as.numeric(logLik(fit)), array(fixef(fit)), array(sqrt(diag(vcov(fit)))), fit$sigma,
    array(as.numeric(VarCorr(fit)[seq_len(nrow(VarCorr(fit)) - 1), "StdDev"]))
  )
}
cat("[", paste(c(
  row("Orange", "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", orange),
  row("Loblolly", "height ~ SSasymp(age, Asym, R0, lrc) ~ Asym | Seed", loblolly),
  row("CO2", "uptake ~ SSasympOff(conc, Asym, lrc, c0) ~ Asym | Plant", co2),
  row("Theoph", "conc ~ SSfol(Dose, Time, lKe, lKa, lCl) ~ diag(lKa + lCl | Subject)", theoph)
), collapse = ",\n "), "]\n", sep = "")
