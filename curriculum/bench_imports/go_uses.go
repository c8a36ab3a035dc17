// Which file declares each package-level name that a Go file uses: `go list -json ./... | go run go_uses.go` prints pairs of paths, as JSON,
// the declaring file first. Packages from elsewhere are left unknown: names of this repository resolve without them.
package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
)

type unit struct {
	Dir, ImportPath                               string
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
}

type checker struct {
	units map[string]unit
	files *token.FileSet
	done  map[string]*types.Package
	found map[[2]string]bool
}

func (c *checker) Import(path string) (*types.Package, error) {
	if one, ok := c.units[path]; ok {
		if _, ok := c.done[path]; !ok {
			c.done[path] = c.check(path, c, one.Dir, one.GoFiles, one.CgoFiles)
		}
		return c.done[path], nil
	}
	return nil, errors.New("not of this repository")
}

// The importer of an external test, which sees the package's own tests too.
type within struct {
	*checker
	path string
	own  *types.Package
}

func (w within) Import(path string) (*types.Package, error) {
	if path == w.path {
		return w.own, nil
	}
	return w.checker.Import(path)
}

func (c *checker) check(path string, importer types.Importer, dir string, lists ...[]string) *types.Package {
	var files []*ast.File
	for _, names := range lists {
		for _, name := range names {
			if file, _ := parser.ParseFile(c.files, filepath.Join(dir, name), nil, 0); file != nil {
				files = append(files, file)
			}
		}
	}
	uses := map[*ast.Ident]types.Object{}
	config := types.Config{Importer: importer, FakeImportC: true, Error: func(error) {}}
	found, _ := config.Check(path, c.files, files, &types.Info{Uses: uses})
	for name, object := range uses {
		if object.Pkg() != nil && object.Parent() == object.Pkg().Scope() {
			c.found[[2]string{c.files.Position(object.Pos()).Filename, c.files.Position(name.Pos()).Filename}] = true
		}
	}
	return found
}

func main() {
	c := &checker{map[string]unit{}, token.NewFileSet(), map[string]*types.Package{}, map[[2]string]bool{}}
	for decoder := json.NewDecoder(os.Stdin); ; {
		var one unit
		if decoder.Decode(&one) != nil {
			break
		}
		c.units[one.ImportPath] = one
	}
	for path, one := range c.units {
		c.Import(path)
		tested := c.check(path, c, one.Dir, one.GoFiles, one.CgoFiles, one.TestGoFiles)
		c.check(path+"_test", within{c, path, tested}, one.Dir, one.XTestGoFiles)
	}
	pairs := [][2]string{}
	for pair := range c.found {
		pairs = append(pairs, pair)
	}
	json.NewEncoder(os.Stdout).Encode(pairs)
}
