internal import Glibc

/// The natural logarithm of a positive number, by the C library.
func naturalLogarithm(_ number: Double) -> Double { log(number) }
