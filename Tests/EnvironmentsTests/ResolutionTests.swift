import BerthTestSupport
import DeploymentCore
import Foundation
import HostDisk
import Testing

@testable import Environments

@Suite(.realPackages) struct ResolutionTests {
    private func lock(_ lines: [String], python: String? = nil) async throws -> Lock {
        let uv = try #require(Machine.uv)
        return try await withTemporaryFolder { folder in
            try await uv.lock(LockInputs(folder: folder, requirements: .list(lines), python: python))
        }
    }

    @Test func theSameInputsGiveTheSameLock() async throws {
        let first = try await lock(["six", "idna"])
        let second = try await lock(["six", "idna"])
        #expect(first == second)
        #expect(first.pins.map(\.name) == ["idna", "six"])
        #expect(first.pins.allSatisfy { !$0.hashes.isEmpty })
    }

    @Test func aConflictNamesBothSidesInOneMessage() async throws {
        let failure = try await error { try await lock(["flask==3.0.0", "werkzeug<2"]) }
        #expect(failure.code == .dependencies)
        #expect(
            failure.message
                == "requirements contradict each other: flask==3.0.0 depends on werkzeug>=3.0.0; you require "
                + "flask==3.0.0; you require werkzeug<2")
        #expect((failure.cause as? UvFailure)?.description.contains("we can conclude") == true)
    }

    @Test func anUnknownPackageGetsASuggestion() async throws {
        let failure = try await error { try await lock(["fastapii-berth-none"]) }
        #expect(failure.message == "there is no package named `fastapii-berth-none`")
        #expect(ResolutionFailure.suggestion(for: "fastapii") == "fastapi")
        #expect(ResolutionFailure.suggestion(for: "sklearn") == "scikit-learn")
        #expect(ResolutionFailure.suggestion(for: "quite-another") == nil)
    }

    @Test func aPackageWithoutAWheelSaysWhichPythonWouldDo() async throws {
        let failure = try await error { try await lock(["numpy==1.21.0"], python: "3.11") }
        #expect(failure.message.hasPrefix("numpy==1.21.0 has no wheel for Python 3.11 on linux-"))
        #expect(failure.suggestion?.hasPrefix("Python 3.8, 3.9 would do") == true)
    }

    @Test func aVersionThatDoesNotExistIsNamed() async throws {
        let failure = try await error { try await lock(["six", "idna==999"]) }
        #expect(failure.message == "there is no version of idna==999 (requirement `idna==999`)")
    }

    @Test func aLineThatIsNoRequirementIsShown() async throws {
        let failure = try await error { try await lock(["six", "this is wrong"]) }
        #expect(failure.message.contains("`this is wrong` is not valid"))
        let option = try await error { try await lock(["-e ."]) }
        #expect(option.message.contains("is an option"))
    }

    @Test func aPythonThatIsNotHereListsThoseThatAre() async throws {
        let failure = try await error { try await lock(["six"], python: "3.99") }
        #expect(failure.message.hasPrefix("Python 3.99 is not on this machine; it has 3."))
        let wrong = try await error { try await lock(["six"], python: "3.11; rm") }
        #expect(wrong.message.contains("is not a Python version"))
    }

    @Test func anIndexThatDoesNotAnswerIsNamed() async throws {
        let found = try #require(Machine.uv)
        var variables = Machine.variables
        variables["UV_DEFAULT_INDEX"] = "http://127.0.0.1:1/simple"
        variables["UV_HTTP_RETRIES"] = "0"
        try await withTemporaryFolder { folder in
            let uv = Uv(executable: found.executable, cache: "\(folder)/cache", environment: variables)
            let failure = try await error {
                try await uv.lock(LockInputs(folder: folder, requirements: .list(["six"])))
            }
            #expect(failure.message == "the package index cannot be reached")
        }
    }

    @Test func requirementsFilesIncludeEachOtherAndTakeTheTemplatesLines() async throws {
        let uv = try #require(Machine.uv)
        try await withTemporaryFolder { folder in
            try "-r more.txt\n".write(toFile: "\(folder)/requirements.txt", atomically: true, encoding: .utf8)
            try "idna\n".write(toFile: "\(folder)/more.txt", atomically: true, encoding: .utf8)
            let inputs = LockInputs(folder: folder, requirements: .file("requirements.txt"), template: ["six"])
            #expect(try await uv.lock(inputs).pins.map(\.name) == ["idna", "six"])
            try "[project]\nname = 'a'\nversion = '1'\ndependencies = ['msgspec']\n".write(
                toFile: "\(folder)/pyproject.toml", atomically: true, encoding: .utf8)
            let project = LockInputs(folder: folder, requirements: .file("pyproject.toml"), template: ["six"])
            #expect(try await uv.lock(project).pins.map(\.name) == ["msgspec", "six"])
        }
    }

    @Test func aGivenLockKeepsItsPinsAndGainsWhatTheTemplateNeeds() async throws {
        let uv = try #require(Machine.uv)
        try await withTemporaryFolder { folder in
            let given = try await uv.lock(LockInputs(folder: folder, requirements: .list(["idna==3.7"])))
            try given.text.write(toFile: "\(folder)/mine.txt", atomically: true, encoding: .utf8)
            var inputs = LockInputs(folder: folder, requirements: .file("mine.txt"))
            #expect(try await uv.lock(inputs).pins == given.pins)
            inputs.template = ["six", "idna"]
            let merged = try await uv.lock(inputs)
            #expect(merged.pins.map(\.name) == ["idna", "six"])
            #expect(merged.pins[0] == given.pins[0])
            inputs.template = ["idna>=3.8"]
            let failure = try await error { try await uv.lock(inputs) }
            #expect(failure.message.contains("idna==3.7"))
        }
    }

    /// Files of a repository and what its author hopes for: that a source of theirs is built on this machine.
    private static let traps: [(files: [String: String], input: String)] = [
        (["requirements.txt": "--no-binary docopt\ndocopt==0.6.2\n"], "requirements.txt"),
        (["requirements.txt": "# x\r--no-binary docopt\ndocopt==0.6.2\n"], "requirements.txt"),
        (["requirements.txt": "-r more.txt\n", "more.txt": "-e ./evil\n"], "requirements.txt"),
        (["requirements.txt": "./evil\n"], "requirements.txt"),
        (["requirements.txt": "evil @ file://FOLDER/evil\n"], "requirements.txt"),
        (["requirements.txt": "docopt==0.6.2\n", "uv.toml": "[pip]\nno-binary = ['docopt']\n"], "requirements.txt"),
        (
            [
                "pyproject.toml": """
                [project]
                name = 'a'
                version = '1'
                dependencies = ['docopt==0.6.2']
                [tool.uv]
                no-binary-package = ['docopt']
                [tool.uv.pip]
                no-binary = ['docopt']
                """
            ], "pyproject.toml"
        ),
        (
            [
                "pyproject.toml": """
                [build-system]
                requires = ['setuptools']
                build-backend = 'setuptools.build_meta'
                [project]
                name = 'evil'
                version = '1'
                dynamic = ['dependencies']
                """
            ], "pyproject.toml"
        ),
        (
            [
                "pyproject.toml": """
                project = { name = 'a', version = '1', dependencies = ['berth-test-evil-none'] }
                tool = { uv = { sources = { berth-test-evil-none = { path = './evil', editable = true } } } }
                """
            ], "pyproject.toml"
        ),
    ]

    @Test(arguments: traps.indices)
    func nothingOfARepositoryIsBuiltToResolveIt(index: Int) async throws {
        let uv = try #require(Machine.uv)
        let trap = Self.traps[index]
        try await withTemporaryFolder { folder in
            // An own cache: what was built once would be taken from there and not be built again.
            let uv = Uv(executable: uv.executable, cache: "\(folder)/cache", environment: Machine.variables)
            let setup = """
                open('\(folder)/sprung', 'w').write('x')
                from setuptools import setup
                setup(name='berth-test-evil-none', version='1.0')
                """
            try Disk.makeFolder("\(folder)/evil")
            for name in ["evil/setup.py", "setup.py"] {
                try setup.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            }
            for (name, text) in trap.files {
                try text.replacing("FOLDER", with: folder).write(
                    toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            }
            let failure = try await error {
                try await uv.lock(LockInputs(folder: folder, requirements: .file(trap.input)))
            }
            #expect(failure.code == .dependencies)
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/sprung"))
        }
    }

    @Test func constraintsAndIndexesOfRequirementsFilesCount() async throws {
        let uv = try #require(Machine.uv)
        try await withTemporaryFolder { folder in
            try "-i https://pypi.org/simple\r\n-c limits.txt # why\r\nidna\r\n".write(
                toFile: "\(folder)/requirements.txt", atomically: true, encoding: .utf8)
            try "idna==3.7\nsix==1.0\n".write(toFile: "\(folder)/limits.txt", atomically: true, encoding: .utf8)
            let lock = try await uv.lock(LockInputs(folder: folder, requirements: .file("requirements.txt")))
            #expect(lock.pins.map(\.requirement) == ["idna==3.7"])
            #expect(lock.options.isEmpty, "the public index is the one that is asked anyway")
        }
    }

    @Test func sourcesOfAProjectAreNotSilentlyResolvedFromElsewhere() async throws {
        let uv = try #require(Machine.uv)
        try await withTemporaryFolder { folder in
            try "[project]\nname='a'\nversion='1'\n[tool.uv.sources]\nsix = { path = 'six' }\n".write(
                toFile: "\(folder)/pyproject.toml", atomically: true, encoding: .utf8)
            let failure = try await error {
                try await uv.lock(LockInputs(folder: folder, requirements: .file("pyproject.toml")))
            }
            #expect(failure.message.contains("[tool.uv.sources]"))
            #expect(failure.suggestion?.contains("uv.lock") == true)
        }
    }
}
