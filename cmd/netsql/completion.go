package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"netsql/cmd/netsql/manual"
	"netsql/query"
)

// completion is netsql completion: the script for a shell, which asks netsql __complete for what may stand next.
func completion(f *flags) runner {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	f.completeWords(oneOf(shells...))
	return func(_ context.Context, words []string, std stdio) error {
		if len(words) != 1 || !slices.Contains(shells, words[0]) {
			return usagef("completion for which shell? netsql completion %s", strings.Join(shells, "|"))
		}
		root := f.made.Root()
		switch words[0] {
		case "bash":
			return root.GenBashCompletionV2(std.out, true)
		case "zsh":
			return root.GenZshCompletion(std.out)
		case "fish":
			return root.GenFishCompletion(std.out, true)
		}
		return root.GenPowerShellCompletionWithDesc(std.out)
	}
}

// isCompletion tells the questions of the script from what users write.
func isCompletion(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// forCompletion readies the tree for the questions of the script: descriptions without marks, and files only where they make sense.
func forCompletion(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	for _, c := range append(root.Commands(), root) {
		c.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") })
	}
}

// A completer gives what may stand in the place of a word that has begun.
type completer = cobra.CompletionFunc

// completeWords completes the first, second and further words of a command; the last completer is for all that follow.
func (f *flags) completeWords(all ...completer) {
	f.made.ValidArgsFunction = func(c *cobra.Command, words []string, begun string) ([]string, cobra.ShellCompDirective) {
		return all[min(len(words), len(all)-1)](c, words, begun)
	}
}

// complete completes the value of a flag.
func (f *flags) complete(flag string, with completer) {
	if err := f.made.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic(err) // the flag is not defined
	}
}

// beginning are the words that begin so.
func beginning(begun string, words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return !strings.HasPrefix(word, begun) })
}

func oneOf(words ...string) completer {
	return func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return beginning(begun, words), cobra.ShellCompDirectiveNoFileComp
	}
}

// tableNames are made only when asked for: their views take half a megabyte to make, which a recorder would keep.
func tableNames(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return beginning(begun, query.TableNames()), cobra.ShellCompDirectiveNoFileComp
}

// someOf is for several words parted by commas.
func someOf(words ...string) completer {
	return func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		before := begun[:strings.LastIndex(begun, ",")+1]
		var all []string
		for _, word := range words {
			if !slices.Contains(strings.Split(before, ","), word) {
				all = append(all, before+word)
			}
		}
		return beginning(begun, all), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

func nothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func anyFile(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func anyFolder(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// recordingExtensions are how the names of recordings end.
var recordingExtensions = []string{".db", ".sqlite", ".sqlite3", ".netsql"}

// recordings are the recordings in the folder that the word has reached, and the folders there. They are listed here, not by the
// shell, which could not offer commands beside them.
func recordings(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	folder, start := filepath.Split(begun)
	read := folder
	if rest, ok := strings.CutPrefix(folder, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			read = filepath.Join(home, rest)
		}
	}
	if read == "" {
		read = "."
	}
	entries, err := os.ReadDir(read)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	files := 0
	for _, e := range entries {
		name := e.Name()
		isFolder := e.IsDir()
		if e.Type()&os.ModeSymlink != 0 {
			info, err := os.Stat(filepath.Join(read, name))
			isFolder = err == nil && info.IsDir()
		}
		switch {
		case !strings.HasPrefix(name, start), strings.HasPrefix(name, ".") && start == "":
		case isFolder:
			all = append(all, folder+name+string(filepath.Separator))
		case slices.Contains(recordingExtensions, filepath.Ext(name)):
			all = append(all, folder+name)
			files++
		}
	}
	if files == 0 && len(all) > 0 {
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace // what is in the folder comes next
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// dotCommands are the commands of the shell, where SQL may stand.
func dotCommands(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	if strings.HasPrefix(begun, ".") {
		all = beginning(begun, query.CommandNames())
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// helpWordsThere are what netsql help explains.
func helpWordsThere(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	all := []string{"topics"}
	for _, t := range manual.Topics() {
		all = append(all, cobra.CompletionWithDesc(t.Name, t.Summary))
	}
	for _, c := range subcommands() {
		if _, isTopic := manual.Find(c.name); c.doc != "" && !isTopic {
			all = append(all, cobra.CompletionWithDesc(c.name, c.doc))
		}
	}
	return beginning(begun, all), cobra.ShellCompDirectiveNoFileComp
}
