package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// verifyInclusion verifies a tlog-proof of a record in its bundle, and that Go makes the same proof of the tiles.
func (l *logDir) verifyInclusion(name string, content []byte) (struct{}, error) {
	size, index, err := pair(name)
	if err != nil {
		return struct{}{}, err
	}
	var document proof.TLogProof
	if err := document.Unmarshal(content); err != nil {
		return struct{}{}, err
	}
	tree, err := openCheckpoint(document.Checkpoint, l.keys)
	if err != nil {
		return struct{}{}, err
	}
	if tree.N != size || int64(document.Index) != index {
		return struct{}{}, errors.New("not the record that its name says")
	}
	hashes := make(tlog.RecordProof, len(document.Hashes))
	for i, hash := range document.Hashes {
		hashes[i] = hash
	}
	return struct{}{}, l.checkRecord(tree, index, hashes)
}

func (l *logDir) checkRecord(tree tlog.Tree, index int64, hashes tlog.RecordProof) error {
	record, err := readRecord(l.dir, tree, index)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(record)); err != nil {
		return err
	}
	made, err := tlog.ProveRecord(tree.N, index, tlog.TileHashReader(tree, tileDir(l.dir)))
	if err == nil && !slices.Equal(made, hashes) {
		err = errors.New("Go makes another proof")
	}
	return err
}

// verifyConsistency verifies an add-checkpoint request against the old checkpoint, and that Go makes the same proof of the tiles.
func (l *logDir) verifyConsistency(name string, content []byte) (struct{}, error) {
	oldSize, newSize, err := pair(name)
	if err != nil {
		return struct{}{}, err
	}
	lines, signed, _ := bytes.Cut(content, []byte("\n\n"))
	tree, err := openCheckpoint(signed, l.keys)
	if err != nil {
		return struct{}{}, err
	}
	statedSize, hashes, err := parseLines(string(lines))
	if err != nil {
		return struct{}{}, err
	}
	old, known := l.trees[strconv.FormatInt(oldSize, 10)]
	if !known || statedSize != oldSize || tree.N != newSize {
		return struct{}{}, errors.New("not the checkpoints that its name says")
	}
	return struct{}{}, l.checkTree(old, tree, hashes)
}

func (l *logDir) checkTree(old, tree tlog.Tree, hashes tlog.TreeProof) error {
	if err := tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return err
	}
	made, err := tlog.ProveTree(tree.N, old.N, tlog.TileHashReader(tree, tileDir(l.dir)))
	if err == nil && !slices.Equal(made, hashes) {
		err = errors.New("Go makes another proof")
	}
	return err
}

// parseLines reads the old size and the hashes.
func parseLines(text string) (int64, tlog.TreeProof, error) {
	lines := strings.Split(text, "\n")
	size, labelled := strings.CutPrefix(lines[0], "old ")
	oldSize, err := strconv.ParseInt(size, 10, 64)
	if !labelled || err != nil {
		return 0, nil, fmt.Errorf("no old size: %q", lines[0])
	}
	hashes := make(tlog.TreeProof, len(lines)-1)
	for i, line := range lines[1:] {
		if hashes[i], err = tlog.ParseHash(line); err != nil {
			return 0, nil, err
		}
	}
	return oldSize, hashes, nil
}
