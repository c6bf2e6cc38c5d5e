import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

/// The host's own client against the agent.
@Suite struct HostTests {
    private func output(
        of process: EnvdProcess, until text: String? = nil
    ) async throws -> (String, DeploymentCore.ExitStatus?) {
        var seen = ""
        for try await event in process.events {
            switch event {
            case .stdout(let bytes), .stderr(let bytes): seen += String(decoding: bytes, as: UTF8.self)
            case .ended(let status): return (seen, status)
            }
            if let text, seen.contains(text) { return (seen, nil) }
        }
        return (seen, nil)
    }

    @Test func inputIsWrittenInItsOrderAndClosed() async throws {
        try await withAgentClient { _, client in
            let process = try await client.start(
                ProcessSpecification(tag: "wc", command: ["wc", "-lc"], keepsInputOpen: true))
            // More than a pipe, a message and the agent's own queue hold.
            let line = Array("0123456789abcde\n".utf8)
            let block = (0..<(1 << 16)).flatMap { _ in line }
            for _ in 0..<8 { try await process.write(block) }
            try await process.closeInput()
            let (text, status) = try await output(of: process)
            #expect(
                text.split(separator: " ").compactMap { Int($0.trimmingCharacters(in: .newlines)) } == [
                    524_288, 8 << 20,
                ])
            #expect(status == .exited(code: 0))
            try await process.closeInput()
            let error = await #expect(throws: BerthError.self) { try await process.write([1]) }
            #expect(error?.code == .notFound)
        }
    }

    @Test func inputIsEmptyUnlessAskedFor() async throws {
        try await withAgentClient { _, client in
            let process = try await client.start(
                ProcessSpecification(tag: "", command: ["sh", "-c", "cat; echo up; exec sleep 1000"]))
            #expect(try await output(of: process, until: "up").0 == "up\n")
            let error = await #expect(throws: BerthError.self) { try await process.write([1]) }
            #expect(error?.code == .sandbox)
            try await process.signal(SIGKILL)
        }
    }

    @Test(.enabled(if: access("/dev/ptmx", R_OK | W_OK) == 0, "there are no terminals here"))
    func terminalIsTypedIntoResizedAndEnded() async throws {
        try await withAgentClient { _, client in
            let specification = ProcessSpecification(
                tag: "shell", command: ["sh", "-c", "stty -echo; stty size; cat; stty size"],
                terminal: TerminalSize(columns: 100, rows: 30))
            let process = try await client.start(specification)
            #expect(try await output(of: process, until: "30 100").1 == nil)
            try await process.resize(TerminalSize(columns: 132, rows: 50))
            try await process.write(Array("typed\n".utf8))
            // One that was not told of the terminal finds out.
            let second = try await client.connect(tag: "shell")
            try await second.write(Array("again\n".utf8))
            try await second.closeInput()
            let (text, status) = try await output(of: process)
            #expect(text.contains("typed\r\nagain\r\n50 132\r\n"))
            #expect(status == .exited(code: 0))
        }
    }

    @Test func pipesAreNotResized() async throws {
        try await withAgentClient { _, client in
            let process = try await client.start(
                ProcessSpecification(tag: "", command: ["cat"], keepsInputOpen: true))
            let error = await #expect(throws: BerthError.self) {
                try await process.resize(TerminalSize(columns: 1, rows: 1))
            }
            #expect(error?.code == .sandbox)
            try await process.closeInput()
            #expect(try await output(of: process).1 == .exited(code: 0))
        }
    }
}
