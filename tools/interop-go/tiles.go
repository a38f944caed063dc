package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is the only one that tlog-tiles has: 256 hashes.
const tileHeight = 8

// tileDir reads the tiles of tlog-tiles, whose paths are those of Go without the height.
type tileDir string

func (dir tileDir) Height() int { return tileHeight }

func (dir tileDir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, len(tiles))
	for i, tile := range tiles {
		content, err := os.ReadFile(dir.path(tile))
		if err != nil {
			return nil, err
		}
		contents[i] = content
	}
	return contents, nil
}

func (dir tileDir) SaveTiles([]tlog.Tile, [][]byte) {}

func (dir tileDir) path(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return filepath.Join(string(dir), strings.Replace(path, "tile/data/", "tile/entries/", 1))
}

// verifyTiles verifies every hash tile and entry bundle of a tree: the tiles against the root, the records against the tiles.
func verifyTiles(dir string, tree tlog.Tree) error {
	if tree.N == 0 {
		return nil
	}
	hashes, err := tlog.TileHashReader(tree, tileDir(dir)).ReadHashes(leafIndexes(tree.N))
	if err != nil {
		return err
	}
	for _, tile := range tlog.NewTiles(tileHeight, 0, tree.N) {
		if err := verifyTile(dir, tree, tile, hashes); err != nil {
			return fmt.Errorf("%s: %w", tile.Path(), err)
		}
	}
	return nil
}

// verifyTile reads a tile's every hash once more through the root, and of level 0 the records too.
func verifyTile(dir string, tree tlog.Tree, tile tlog.Tile, leaves []tlog.Hash) error {
	expected, err := tlog.ReadTileData(tile, tlog.TileHashReader(tree, tileDir(dir)))
	if err != nil {
		return err
	}
	actual, err := os.ReadFile(tileDir(dir).path(tile))
	if err != nil {
		return err
	}
	if string(expected) != string(actual) {
		return errors.New("not what the root has")
	}
	if tile.L > 0 {
		return nil
	}
	return verifyBundle(dir, tile, leaves)
}

func verifyBundle(dir string, tile tlog.Tile, leaves []tlog.Hash) error {
	tile.L = -1
	records, err := readBundle(tileDir(dir).path(tile))
	if err != nil {
		return err
	}
	if len(records) != tile.W {
		return fmt.Errorf("%d records", len(records))
	}
	for i, record := range records {
		if index := tile.N<<tileHeight + int64(i); tlog.RecordHash(record) != leaves[index] {
			return fmt.Errorf("record %d is not what its tile has", index)
		}
	}
	return nil
}

// readBundle reads records, each behind its length as a big-endian uint16.
func readBundle(path string) ([][]byte, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var records [][]byte
	for len(rest) > 0 {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, errors.New("the bundle is cut")
		}
		end := 2 + int(binary.BigEndian.Uint16(rest))
		records = append(records, rest[2:end])
		rest = rest[end:]
	}
	return records, nil
}

// readRecord reads one record of a tree from its bundle.
func readRecord(dir string, tree tlog.Tree, index int64) ([]byte, error) {
	n := index >> tileHeight
	width := min(tree.N-n<<tileHeight, 1<<tileHeight)
	records, err := readBundle(tileDir(dir).path(tlog.Tile{H: tileHeight, L: -1, N: n, W: int(width)}))
	if err != nil {
		return nil, err
	}
	return records[index-n<<tileHeight], nil
}

func leafIndexes(size int64) []int64 {
	indexes := make([]int64, size)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	return indexes
}
