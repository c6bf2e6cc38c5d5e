import DeploymentCore
import E2BProtocol
import Glibc
import Sandboxes
import Waiting

/// Tries the start command of an image, once its files are kept: what it leaves behind belongs to no sandbox.
struct StartTrial: Sendable {
    let held: HeldSandbox
    let image: SandboxImage
    let log: BuildLog
    let clock: any Clock<Duration>

    /// Starts the command, waits until the ready command ends with 0, and ends what it started.
    ///
    /// - Throws: `BuildFailure` when the start command ends with an error, or is not ready in time.
    func run(_ start: String?, ready: String?) async throws {
        await log.write("[finalize] Trying the start command", step: "finalize")
        let started = start == nil ? nil : try await process(start ?? "", tag: SandboxImage.startTag)
        do {
            guard let ready else { return await end(started) }
            try await withThrowingTaskGroup(of: Bool.self) { group in
                if let started { group.addTask { try await watch(started) } }
                group.addTask { try await untilReady(ready) }
                // The end of a start command that did its work is no failure; the ready command decides.
                while let isReady = try await group.next() {
                    if isReady { break }
                }
                group.cancelAll()
            }
            await end(started)
        } catch {
            await end(started)
            throw error is CancellationError || error is BuildFailure
                ? error : BuildFailure(message: "\(error)", step: "finalize")
        }
    }

    private func process(_ command: String, tag: String) async throws -> EnvdProcess {
        let agent = image.user == "user" ? held.agent : held.agent.acting(as: image.user)
        return try await agent.start(
            ProcessSpecification(
                tag: tag, command: ["/bin/bash", "-l", "-c", command], environment: image.environment,
                workingDirectory: BuildStep.absolute(image.workdir ?? "~", in: image, held)))
    }

    /// Follows the start command; false once it has ended well.
    private func watch(_ process: EnvdProcess) async throws -> Bool {
        var tail: [UInt8] = []
        for try await event in process.events {
            switch event {
            case .stdout(let bytes), .stderr(let bytes):
                tail = (tail + bytes).suffix(BuildRun.tail)
                await log.write(bytes, stream: "start", prefix: "[start] ", step: "finalize")
            case .ended(.exited(code: 0)): return false
            case .ended(let status):
                throw BuildFailure(
                    message: "the start command failed with \(status): "
                        + String(decoding: tail, as: UTF8.self).trimmingSuffix(while: \.isWhitespace), step: "finalize")
            }
        }
        return false
    }

    /// Asks again and again; true once the command ends with 0.
    private func untilReady(_ command: String) async throws -> Bool {
        let limit = BuildRun.readyLimit
        let attempts = Int(limit / BuildRun.readyPause)
        for _ in 0..<attempts {
            let asked = try await process(command, tag: "")
            for try await event in asked.events {
                if case .ended(.exited(code: 0)) = event { return true }
            }
            try await clock.pause(for: BuildRun.readyPause)
        }
        throw BuildFailure(message: "the ready command did not succeed within \(limit)", step: "finalize")
    }

    private func end(_ process: EnvdProcess?) async {
        await log.finishLines(prefix: { _ in "[start] " }, step: "finalize")
        guard let process else { return }
        await Task { try? await process.signal(SIGKILL) }.value
    }
}
