//go:build !linux

package main

const restrictTry = "restrict-try"

func tryRestricted() {}
