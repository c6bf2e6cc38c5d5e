import DeploymentCore
import ManifestParsing
import Testing

/// What is refused before any key is looked at.
@Suite struct ReaderTests {
    @Test func duplicateKeyNamesBothPlaces() {
        #expect(
            refused(iris("name: other\n")) == """
                m.yaml:3:1: duplicate key 'name', first given in line 1
                  name: other
                  ^
                """)
    }

    @Test func anchorsAliasesAndMergeKeysAreRefused() {
        #expect(
            refused("name: &n iris\nmodel: *n\nenv: {<<: {A: 1}}\n") == """
                m.yaml:1:7: the anchor '&n' is not allowed
                  name: &n iris
                        ^
                  write the value out; manifests have no anchors and aliases
                m.yaml:2:8: the alias '*n' is not allowed
                  model: *n
                         ^
                  write the value out; manifests have no anchors and aliases
                m.yaml:3:7: merge keys are not allowed
                  env: {<<: {A: 1}}
                        ^
                  write the keys out; manifests have no anchors and aliases
                """)
    }

    @Test func onlyCoreTagsAreAllowed() throws {
        #expect(
            refused("name: !!python/object iris\nmodel: m.onnx\nserver: !!seq {}\n") == """
                m.yaml:1:7: the tag '!!python/object' is not allowed here
                  name: !!python/object iris
                        ^
                  leave the tag out
                m.yaml:3:9: the tag '!!seq' is not allowed here
                  server: !!seq {}
                          ^
                  leave the tag out
                """)
        #expect(refused(iris("server: {port: !!int abc}")).contains("m.yaml:3:16: 'abc' is not of the type '!!int'"))
        #expect(try accepted("name: !!str 123\nmodel: ! m.onnx\n").manifest.name == "123")
    }

    @Test func secondDocumentIsRefused() throws {
        #expect(
            refused(iris("---\nname: two\n")) == """
                m.yaml:3:1: a second document starts here
                  ---
                  ^
                  write one manifest per file; '---' may only stand at the top
                """)
        #expect(try accepted("---\nname: iris\nmodel: a.onnx\n...\n").manifest.name == "iris")
    }

    @Test func nestingStopsAtItsLimit() {
        let bomb = "x: " + String(repeating: "[", count: 100_000)
        #expect(refused(bomb).hasPrefix("m.yaml:1:35: nested deeper than 32 levels\n  x: [[["))
        let block = (0..<40).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
        #expect(refused(block).contains("nested deeper than 32 levels"))
    }

    @Test func nodesStopAtTheirLimit() throws {
        // The root, the keys and values of two pairs, the smoke list's three levels, and the elements.
        func manifest(_ count: Int) -> String {
            iris("smoke: [{request: [\(Array(repeating: "1", count: count).joined(separator: ","))]}]")
        }
        #expect(try accepted(manifest(20_000 - 10)).manifest.smoke.count == 1)
        #expect(refused(manifest(20_000 - 9)).contains(": more than 20000 nodes\n"))
    }

    @Test func sizeStopsAtItsLimit() throws {
        let base = iris("# ")
        let full = base + String(repeating: "x", count: (1 << 20) - base.utf8.count)
        #expect(try accepted(full).manifest.name == "iris")
        #expect(refused(full + "x") == "m.yaml:1:1: the manifest is 1048577 bytes long; at most 1048576 are read")
    }

    @Test func badUTF8IsFoundByItsByte() {
        #expect(
            refused(bytes: Array("name: iris\r\nmodel: ä".utf8) + [0xFF, 0x0A]) == """
                m.yaml:2:9: byte 21 is not UTF-8
                  model: ä\u{FFFD}
                          ^
                  save the manifest as UTF-8
                """)
    }

    @Test func otherEncodingsAreRefused() throws {
        let text = "name: iris\nmodel: m.onnx\n"
        let little = text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        let big = text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        let message = "m.yaml:1:1: the manifest is UTF-16\n  save it as UTF-8"
        for bytes in [little, big, [0xFF, 0xFE] + little, [0xFE, 0xFF] + big] {
            #expect(refused(bytes: bytes) == message)
        }
        #expect(try accepted("\u{FEFF}" + text).manifest.name == "iris")
    }

    @Test(arguments: ["\0", "\u{1B}", "\u{7F}", "\u{85}", "\u{202E}", "\u{2066}", "\u{2028}", "\u{200F}", "\u{FEFF}"])
    func hiddenCharactersAreRefused(character: String) {
        let text = refused("name: iris\nmodel: a\(character)b.onnx\n")
        #expect(text.hasPrefix("m.yaml:2:9: the character U+"))
        #expect(text.contains("  model: a\u{FFFD}b.onnx\n          ^"))
        #expect(!text.unicodeScalars.contains(where: character.unicodeScalars.contains))
    }

    @Test func unterminatedQuoteShowsWhereItOpens() {
        #expect(
            refused("name: \"iris\nmodel: m.onnx\n") == """
                m.yaml:1:7: the manifest ends while scanning a quoted scalar opened here
                  name: "iris
                        ^
                  close it with the same quote
                """)
        #expect(
            refused("name: iris\nenv: {A: 1\n") == """
                m.yaml:2:6: the manifest ends while parsing a flow mapping opened here
                  env: {A: 1
                       ^
                  close it with '}'
                """)
    }

    @Test func brokenSyntaxNamesWhatWasOpened() {
        #expect(
            refused("name: iris\nenv: {A: [1, 2}\nmodel: m.onnx\n") == """
                m.yaml:2:15: did not find expected ',' or ']' while parsing a flow sequence opened at 2:10
                  env: {A: [1, 2}
                                ^
                  check the indentation, the quotes and the brackets up to here
                """)
        #expect(refused("name: a: b\n").contains("put the text in quotes if ': ' is part of it"))
        #expect(refused("name: @x\n").contains("plain text cannot start with '@'"))
    }

    @Test func tabIndentationIsExplained() {
        #expect(
            refused("name: iris\nserver:\n\tport: 1\n") == """
                m.yaml:3:1: found character that cannot start any token while scanning for the next token
                  \tport: 1
                  ^
                  indent with spaces; YAML does not allow tabs
                """)
    }

    @Test func emptyManifestsAndOtherRootsAreRefused() {
        let hint = "  start with a line such as 'name: iris'"
        #expect(refused("") == "m.yaml:1:1: the manifest is empty\n\(hint)")
        #expect(refused("# nothing\n").hasPrefix("m.yaml:1:1: the manifest is empty"))
        #expect(refused("- a\n") == "m.yaml:1:1: a manifest must be a mapping, not a list\n  - a\n  ^\n\(hint)")
        #expect(
            refused("? [a]\n: b\nname: iris\nmodel: m.onnx\n").hasPrefix("m.yaml:1:3: a key must be text, not a list"))
    }

    @Test func caretStandsUnderTabsAndWideCharacters() {
        #expect(
            refused("{name: iris, model: m.onnx, env: {日本:\t1}}\n") == """
                m.yaml:1:35: 'env.日本' must be letters, digits and '_', and not start with a digit
                  {name: iris, model: m.onnx, env: {日本:\t1}}
                                                    ^
                """)
        #expect(
            refused("{name: iris, model: m.onnx, smoke: [{name: 日本,\tnme: 1}]}\n") == """
                m.yaml:1:48: unknown key 'nme' in 'smoke[0]'
                  {name: iris, model: m.onnx, smoke: [{name: 日本,\tnme: 1}]}
                                                                  \t^
                  did you mean 'name'?
                """)
    }

    @Test func longLinesAreCutAroundTheCaret() throws {
        let text = refused(
            iris("env: {A: \(String(repeating: "x", count: 5000)), 1B: y, C: \(String(repeating: "z", count: 5000))}"))
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        try #require(lines.count == 3)
        #expect(lines[1].unicodeScalars.count < 120)
        let caret = try #require(lines[2].firstIndex(of: "^")).utf16Offset(in: lines[2])
        #expect(Array(lines[1])[caret...].prefix(2) == ["1", "B"])
    }

    @Test(.timeLimit(.minutes(1)))
    func hostileInputsEndFast() {
        let repeated = ["{", "- ", "? ", "a: ", "'", "x", "\n", "&a ", "!!", "%", "k: 1\n", "a: {", "[a, ", "\"\\x41"]
        var inputs = repeated.map { String(repeating: $0, count: 1_000_000 / $0.utf8.count) }
        inputs.append("a: |\n" + String(repeating: " x\n", count: 300_000))
        inputs.append("a: \"" + String(repeating: "\\x41", count: 250_000))
        inputs.append((0..<60_000).map { "k\($0): 1" }.joined(separator: "\n"))
        let files: [String] = (0..<5_000).map { "a/\($0).onnx" }
        inputs.append("name: iris\nmodel: [\(files.joined(separator: ", "))]\n")
        let unknown: [String] = (0..<9_000).map { "x\($0): 1" }
        inputs.append("{name: i, model: m.onnx, \(unknown.joined(separator: ", "))}")
        let clock = ContinuousClock()
        for input in inputs {
            let duration = clock.measure { #expect(!refused(input).isEmpty) }
            #expect(duration < .seconds(5), "\(input.prefix(20)) took \(duration)")
        }
    }
}
