// Command interop verifies, with other people's implementations, a directory of what libs/merkle wrote: the signed checkpoints of a log at
// several sizes, its tiles and entry bundles, inclusion and consistency proofs. It says what it has verified, or names the first file that
// does not hold and exits with 1.
//
//	log.vkey, witness.vkey                 the public keys; a log may have no witness
//	origin                                 the log's, where it is not the name of its key
//	checkpoint/<size>                      signed by the log, cosigned by the witness
//	tile/<level>/<N>, tile/entries/<N>     C2SP tlog-tiles, with the partial ones of every checkpoint's size
//	inclusion/<size>-<index>               C2SP tlog-proof
//	consistency/<old>-<new>                the body of C2SP tlog-witness's add-checkpoint
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: interop <directory>")
		os.Exit(2)
	}
	summary, err := verify(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(summary)
}

// verify verifies the whole directory.
func verify(dir string) (string, error) {
	keys, err := readKeys(dir)
	if err != nil {
		return "", err
	}
	trees, err := forEach(dir, "checkpoint", func(name string, content []byte) (tlog.Tree, error) {
		tree, err := openCheckpoint(content, keys)
		if err == nil && name != strconv.FormatInt(tree.N, 10) {
			err = fmt.Errorf("its size is %d", tree.N)
		}
		return tree, err
	})
	if err != nil {
		return "", err
	}
	records := int64(0)
	for name, tree := range trees {
		if err := verifyTiles(dir, tree); err != nil {
			return "", fmt.Errorf("tiles of checkpoint %s: %w", name, err)
		}
		records = max(records, tree.N)
	}
	log := &logDir{dir: dir, keys: keys, trees: trees}
	inclusions, err := forEach(dir, "inclusion", log.verifyInclusion)
	if err != nil {
		return "", err
	}
	consistencies, err := forEach(dir, "consistency", log.verifyConsistency)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ok: %d checkpoints, %d records, %d inclusion proofs, %d consistency proofs",
		len(trees), records, len(inclusions), len(consistencies)), nil
}

// forEach calls the function with each file of a folder, and returns the results by the files' names.
func forEach[T any](dir, folder string, check func(name string, content []byte) (T, error)) (map[string]T, error) {
	files, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		return nil, err
	}
	results := make(map[string]T)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, folder, file.Name()))
		if err != nil {
			return nil, err
		}
		result, err := check(file.Name(), content)
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", folder, file.Name(), err)
		}
		results[file.Name()] = result
	}
	return results, nil
}

// logDir is a log's directory with the trees of its checkpoints, by their sizes in decimal.
type logDir struct {
	dir   string
	keys  keys
	trees map[string]tlog.Tree
}

// pair reads a file name of two numbers.
func pair(name string) (int64, int64, error) {
	first, second, _ := strings.Cut(name, "-")
	a, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, 0, err
	}
	b, err := strconv.ParseInt(second, 10, 64)
	return a, b, err
}

// keys are those of the log and of its witness, if it has one.
type keys struct {
	origin    string
	log       note.Verifier
	witnesses []note.Verifier
}
