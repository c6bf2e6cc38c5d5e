import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import Environments

@Suite struct LockTests {
    let hash = "sha256:" + String(repeating: "ab", count: 32)

    @Test func readsPinsWithHashesAndContinuationLines() throws {
        let text = """
            # a comment
            --extra-index-url https://download.example/whl
            Foo_Bar==1.0 ; python_version < "4" \\
                --hash=\(hash) \\
                --hash=\(hash)
                # via something
            baz @ https://example.com/baz-1-py3-none-any.whl --hash=\(hash)
            """
        let lock = try Lock(parsing: text)
        #expect(lock.pins.map(\.name) == ["foo-bar", "baz"])
        #expect(lock.pins[0].hashes == [hash, hash])
        #expect(lock.pins[0].requirement == "Foo_Bar==1.0 ; python_version < \"4\"")
        #expect(lock.options == ["--extra-index-url https://download.example/whl"])
        #expect(lock.python == nil)
    }

    @Test(arguments: [
        "idna==3.10", "idna>=3 --hash=sha256:00", "-e . --hash=x", "--find-links /etc", "-r other.txt",
        "idna==3.10 --hash=md5:00", "idna @ git+https://x.example/y --hash=sha256:00",
        "--index-url http://plain.example",
        "idna==3.10 --config-settings=x --hash=sha256:00",
    ])
    func refusesWhatIsNotPinnedAndHashed(line: String) {
        #expect(throws: BerthError.self) { try Lock(parsing: line + "\n") }
    }

    @Test(arguments: ["\r", "\n", "\r\n"], ["--no-binary evil", "-e .", "--find-links /tmp", "--no-binary=:all:"])
    func anOptionBehindACommentIsSeenAndRefused(newline: String, option: String) async throws {
        let text = "# harmless\(newline)\(option)\nevil==1.0 --hash=\(hash)\n"
        let failure = try await error { try Lock(parsing: text) }
        #expect(failure.message.contains("the option `\(option)` is not allowed"))
    }

    @Test func aLockWithWindowsLineEndsIsTheSameLock() throws {
        let unix = "# python: 3.11.7\na==1 \\\n    --hash=\(hash) \\\n    --hash=\(hash)\nb==2 --hash=\(hash)\n"
        let windows = try Lock(parsing: "\u{FEFF}" + unix.replacing("\n", with: "\r\n"))
        #expect(try windows.content == Lock(parsing: unix).content)
        #expect(try windows.canonical == Lock(parsing: unix).canonical)
        #expect(windows.pins.count == 2 && windows.python == "3.11.7")
        #expect(windows.canonical == "a==1 --hash=\(hash) --hash=\(hash)\nb==2 --hash=\(hash)\n")
    }

    @Test(arguments: [
        "--index-url https://evil.example/${SECRET}", "a==${V} --hash=sha256:H",
        "a @ https://x/${V}.whl --hash=sha256:H",
        "a==1 ; python_version > '${V}' --hash=sha256:H", "a==1\u{0B}--no-binary a --hash=sha256:H",
        "a==1\u{0} --hash=sha256:H", "a==1\u{85}--no-binary x --hash=sha256:H",
        "a==1\u{2028}--no-binary x --hash=sha256:H", "a==1 ; python_version > '3' --no-binary a --hash=sha256:H",
        "a @ https://x.example/a-1.tar.gz --hash=sha256:H", "a @ https://x.example/a-1.tar.gz?a.whl --hash=sha256:H",
        "a @ file:///repository/a --hash=sha256:H", "a @ git+https://x.example/a.whl --hash=sha256:H",
        "./a-1-py3-none-any.whl --hash=sha256:H", "a==1 --hash=sha256:H --config-settings=x",
        "--index-url https://a.example --no-binary a", "a== --hash=sha256:H", "a==1.* --hash=sha256:H",
    ])
    func refusesWhatUvWouldExpandOrBuild(line: String) {
        let digits = String(repeating: "ab", count: 32)
        #expect(throws: BerthError.self) { try Lock(parsing: line.replacing("sha256:H", with: "sha256:\(digits)")) }
    }

    @Test(arguments: [
        "six\n--no-binary evil", "six\r--no-binary evil", "-e .", "six --no-binary=evil", "./evil", "six x>1",
        "six[a] 1", "six \\",
    ])
    func aRequirementOfAManifestIsOneRequirement(line: String) {
        #expect(throws: BerthError.self) { try RequirementsText.requirement(line) }
    }

    @Test(arguments: [
        ("Scikit_Learn [a, b]>=1.2,<2 # why", "Scikit_Learn[a,b]>=1.2,<2"), ("six", "six"), ("six ~= 1.0", "six~= 1.0"),
        ("a==1.0;python_version<'4'", "a==1.0 ; python_version<'4'"), ("a == 1.0", "a==1.0"),
        ("a@https://x.example/a-1-py3-none-any.whl#sha", "a @ https://x.example/a-1-py3-none-any.whl#sha"),
        ("a (>=1.0)", "a(>=1.0)"),
    ])
    func requirementsAreWrittenInOneWay(line: String, written: String) throws {
        #expect(try RequirementsText.requirement(line).line == written)
    }

    @Test func commentsAndOrderDoNotChangeTheContent() throws {
        let one = try Lock(parsing: "# x\na==1 --hash=\(hash)\nb==2 --hash=\(hash)\n")
        let two = try Lock(parsing: "b==2 --hash=\(hash)\n# y\na==1 \\\n  --hash=\(hash)  # z\n")
        #expect(one.content == two.content)
    }

    @Test func aChangedInputMakesTheLockOutOfDate() async throws {
        try await withTemporaryFolder { folder in
            try "six\n-r more.txt\n".write(toFile: "\(folder)/requirements.txt", atomically: true, encoding: .utf8)
            try "idna\n".write(toFile: "\(folder)/more.txt", atomically: true, encoding: .utf8)
            let inputs = LockInputs(folder: folder, requirements: .file("requirements.txt"), template: ["flask"])
            let lock = try Lock(pins: [], options: [], python: "3.11.7", inputs: inputs.digest())
            try lock.write(to: "\(folder)/\(Lock.fileName)")
            let read = try #require(try Lock.read(from: "\(folder)/\(Lock.fileName)"))
            #expect(read == lock)
            #expect(read.python == "3.11.7")
            #expect(try read.isCurrent(for: inputs))
            var other = inputs
            other.template = ["flask", "gunicorn"]
            #expect(try !read.isCurrent(for: other))
            other = inputs
            other.python = "3.12"
            #expect(try !read.isCurrent(for: other))
            try "idna>3\n".write(toFile: "\(folder)/more.txt", atomically: true, encoding: .utf8)
            #expect(try !read.isCurrent(for: inputs))
        }
    }

    @Test func aMissingFileIsNamedWithItsNeighbour() async throws {
        try await withTemporaryFolder { folder in
            try "".write(toFile: "\(folder)/requirements.txt", atomically: true, encoding: .utf8)
            let failure = try await error {
                try LockInputs(folder: folder, requirements: .file("requirement.txt")).digest()
            }
            #expect(failure.message.contains("requirement.txt is missing"))
            #expect(failure.suggestion == "did you mean requirements.txt?")
        }
    }

    @Test func includesThatNeverEndAreRefusedOrEnd() async throws {
        try await withTemporaryFolder { folder in
            try "-r a.txt\n".write(toFile: "\(folder)/a.txt", atomically: true, encoding: .utf8)
            _ = try LockInputs(folder: folder, requirements: .file("a.txt")).digest()
            for number in 0...LockInputs.fileCountLimit {
                try "-r c\(number + 1).txt\n".write(
                    toFile: "\(folder)/c\(number).txt", atomically: true, encoding: .utf8)
            }
            let failure = try await error { try LockInputs(folder: folder, requirements: .file("c0.txt")).digest() }
            #expect(failure.code == .tooLarge)
        }
    }

    @Test func credentialsInTextOfUvAreHidden() {
        #expect(UvFailure("at https://user:secret@host/simple").description == "at https://****@host/simple")
    }

    @Test func uvThatIsNowhereSaysHowToGetIt() async throws {
        let failure = try await error { try Uv.locate(home: "/nonexistent", environment: ["PATH": "/nonexistent"]) }
        #expect(failure.code == .dependencies)
        #expect(failure.suggestion?.contains("pip install uv") == true)
    }

    @Test func onlyWhatAResolverNeedsIsPassedOn() {
        let uv = Uv(
            executable: "/bin/true", cache: "/nonexistent",
            environment: ["UV_INDEX_URL": "a", "AWS_SECRET_ACCESS_KEY": "b", "UV_PYTHON": "c", "PYTHONPATH": "d"])
        #expect(uv.environment == ["UV_INDEX_URL": "a"])
    }
}
