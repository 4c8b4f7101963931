package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// rooms are the top folders with code, and the rooms below each, whose packages it may import. Within a room Go itself keeps order: an internal
// package is for its room only, and nothing imports in a circle. Tests of a room may import those of testRooms as well.
var (
	rooms = map[string][]string{
		"cmd":        {"recorder", "query"},
		"recorder":   {"store"},
		"query":      {"store"},
		"store":      {"migrations"},
		"migrations": {},
	}
	testRooms = map[string][]string{
		"cmd":      {"store"}, // to write recordings to ask
		"recorder": {"query"}, // to ask of what it recorded what the manual asks
	}
)

// roomOf is the room of a file or of a package of ours, by its path from the top.
func roomOf(name string) string {
	room, _, _ := strings.Cut(name, "/")
	return room
}

// fences say where alone a library may be imported: everything else must go on building and working
// without it. Tests may stand on either side, but for what would not build elsewhere.
var fences = []struct {
	library string
	allowed func(file string) bool
	tests   bool // tests are bound as well
}{
	{"github.com/vishvananda/netlink", inRecorderForLinux, true},
	{"github.com/vishvananda/netns", inRecorderForLinux, true},
	{"github.com/prometheus/procfs", inRecorderForLinux, true},
	{"github.com/chzyer/readline", inRoom("cmd"), true},
	{"github.com/landlock-lsm/go-landlock", func(file string) bool {
		return strings.HasPrefix(file, "cmd/netsql/confine/") && strings.HasSuffix(file, "_linux.go")
	}, true},
	{"github.com/cpuguy83/go-md2man/v2", inRoom("cmd"), true},
	{"github.com/spf13/cobra", inRoom("cmd"), true},
	{"github.com/spf13/pflag", inRoom("cmd"), true},
	{"modernc.org/sqlite", inRoom("store", "query"), false},
	{"log", inRoom(), false}, // libraries return errors, and main prints them
	{"log/slog", inRoom(), false},
}

func inRecorderForLinux(file string) bool {
	return roomOf(file) == "recorder" && (strings.HasSuffix(file, "_linux.go") || strings.HasSuffix(file, "_linux_test.go"))
}

func inRoom(rooms ...string) func(string) bool {
	return func(file string) bool { return slices.Contains(rooms, roomOf(file)) }
}

// A source file of the module, by its path from the top.
type sourceFile struct {
	name string
	text []byte
	tree *ast.File
}

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func sourceFiles(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	top := os.DirFS("../..")
	err := fs.WalkDir(top, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".go" {
			return err
		}
		text, err := fs.ReadFile(top, name)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		files = append(files, sourceFile{name, text, tree})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("%d source files: the module must be somewhere else", len(files))
	}
	return files
}

func TestImportsPointDownwards(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		room := roomOf(f.name)
		below, known := rooms[room]
		if !known {
			t.Errorf("%s: %s is no room of this program: it has cmd, recorder, store, query and migrations", f.name, room)
			continue
		}
		allowed := append([]string{room}, below...)
		if f.isTest() {
			allowed = append(allowed, testRooms[room]...)
		}
		for _, spec := range f.tree.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if ours, ok := strings.CutPrefix(imported, "netsql/"); ok && !slices.Contains(allowed, roomOf(ours)) {
				t.Errorf("%s imports %s: %s may import from %q only", f.name, imported, room, allowed)
			}
			for _, fence := range fences {
				within := imported == fence.library || strings.HasPrefix(imported, fence.library+"/")
				if within && !fence.allowed(f.name) && (fence.tests || !f.isTest()) {
					t.Errorf("%s imports %s: see fences in cmd/netsql/architecture_test.go for where it belongs", f.name, imported)
				}
			}
		}
	}
}

// Nothing runs before main, and nothing but main ends the program.
func TestOnlyMainExits(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		if f.isTest() {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s has an init function: call it by its name where it is needed", f.name)
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && n.Sel.Name == "Exit" && f.name != "cmd/netsql/main.go" {
					t.Errorf("%s calls os.Exit: return an error, main exits", f.name)
				}
			}
			return true
		})
	}
}

func TestGofmt(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		formatted, err := format.Source(f.text)
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
		} else if !bytes.Equal(formatted, f.text) {
			t.Errorf("%s: run gofmt -w %s", f.name, f.name)
		}
	}
}

// The top of the tree is agreed upon: a person who opens it sees the parts of the program and nothing else.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	agreed := []string{
		"cmd", "recorder", "store", "query", "migrations", "go.mod", "go.sum", "README.md", "LICENSE", ".ci", ".gitignore",
		".git", ".gitattributes", ".github", ".editorconfig", ".golangci.yml", ".golangci.yaml",
	}
	ignored, err := os.ReadFile("../../.gitignore")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		isIgnored := slices.ContainsFunc(strings.Fields(string(ignored)), func(pattern string) bool {
			match, err := filepath.Match(strings.Trim(pattern, "/"), e.Name())
			return err == nil && match
		})
		if !isIgnored && !slices.Contains(agreed, e.Name()) {
			t.Errorf("%s stands at the top of the tree, where only the parts of the program do: move it into one of them", e.Name())
		}
	}
}

// Each recorded table has a source that fills it and a test that asks it of the real kernel: a person who declares one and forgets the rest is told where it
// belongs. The store itself fills sources.
func TestEveryTableHasASourceAndATest(t *testing.T) {
	t.Parallel()
	files := sourceFiles(t)
	declared := map[string]string{} // public names of tables, by their variables
	for _, f := range files {
		if f.name != "store/tables.go" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is || len(spec.Values) != 1 {
				return true
			}
			if name := declaredName(spec.Values[0]); name != "" && spec.Names[0].Name != "_" {
				declared[spec.Names[0].Name] = name
			}
			return true
		})
	}
	if len(declared) < 18 {
		t.Fatalf("store/tables.go declares %d tables: this test does not find them", len(declared))
	}
	filled, asked := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if roomOf(f.name) != "recorder" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, is := n.X.(*ast.Ident); is && x.Name == "store" && !f.isTest() {
					filled[n.Sel.Name] = true
				}
			case *ast.BasicLit:
				if n.Kind == token.STRING && f.isTest() {
					for _, word := range strings.FieldsFunc(n.Value, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
						asked[strings.TrimSuffix(word, "_now")] = true
					}
				}
			}
			return true
		})
	}
	for variable, name := range declared {
		if variable != "Sources" && !filled[variable] {
			t.Errorf("store/tables.go declares %s, and nothing in recorder puts store.%s: write its source, recorder/%[1]s_linux.go, and add it to the list in run_linux.go", name, variable)
		}
		if !asked[name] {
			t.Errorf("store/tables.go declares %s, and no test in recorder asks for it: write recorder/%[1]s_linux_test.go, which builds such a thing in a network namespace", name)
		}
	}
}

// declaredName is the name of the table that an expression of store/tables.go declares, within whatever is wrapped around it; "": it declares none.
func declaredName(e ast.Expr) (name string) {
	ast.Inspect(e, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if !is {
			return true
		}
		function := call.Fun
		switch f := function.(type) {
		case *ast.IndexExpr:
			function = f.X
		case *ast.IndexListExpr:
			function = f.X
		}
		if f, is := function.(*ast.Ident); is && (f.Name == "define" || f.Name == "defineLog") {
			if text, is := call.Args[0].(*ast.BasicLit); is {
				name = strings.Trim(text.Value, `"`)
			}
		}
		return true
	})
	return name
}
