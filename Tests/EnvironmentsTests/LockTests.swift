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
