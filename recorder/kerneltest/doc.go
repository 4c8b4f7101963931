// Package kerneltest is for tests that ask the real kernel: it runs a test in a fresh network namespace, and an independent tool
// beside it.
package kerneltest
