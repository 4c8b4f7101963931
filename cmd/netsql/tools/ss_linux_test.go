package tools

import (
	"fmt"
	"strings"
	"testing"

	"netsql/recorder/kerneltest"
)

func forgetSs(line string) string {
	return strings.TrimRight(line, " ")
}

func TestSsIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			network(t, seed)
			compare(t, comparison{tool: "ss", forget: forgetSs, lines: []string{
				"-tan", "-tln", "-tanp", "-uan", "-wan", "-xan", "-tuwxan", "-ta", "-ua", "-wa", "", "-a", "-l", "-x", "-tn", "-un", "-4an", "-6an", "-tae", "-tano", "-tanO", "-taniO", "-tanmO", "-s",
			}})
		})
	}
}
