import DeploymentCore
import NIOCore

/// What passes once both sides are there.
extension Passage {
    /// Passes bytes on as far as they belong together.
    func forward(_ buffer: ByteBuffer, from side: Side) {
        guard let other = channel(side.other) else { return }
        var buffer = buffer
        if side == .inner, isForwarding {
            guard let count = body.take(buffer.readableBytesView) else { return abort() }
            // What comes behind the request's body is no part of it, whoever it is for; the answer ends the connection.
            buffer = buffer.readSlice(length: count) ?? ByteBuffer()
        }
        let count = buffer.readableBytes
        guard count > 0 else { return }
        // At the end of a side all that the kernel holds of it comes at once, whether the other side takes it or not.
        guard exit.hold(count) else { return abort() }
        lastMoved = .now()
        exit.count(count, from: side)
        // A few bytes must not keep the memory of a whole read.
        if buffer.storageCapacity > 4 * count { buffer = ByteBuffer(bytes: buffer.readableBytesView) }
        let written = other.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { [exit] _ in exit.release(count) }
        other.write(buffer, promise: written)
    }

    /// Reads on when the other side takes what there is.
    func readOn(_ side: Side) {
        guard phase == .passing, !ended.contains(side), let other = channel(side.other) else { return }
        other.flush()
        if other.isWritable {
            stalled.remove(side)
            channel(side)?.read()
        } else {
            stalled.insert(side)
        }
    }

    func writabilityChanged(_ side: Side) {
        guard channel(side)?.isWritable == true, stalled.contains(side.other) else { return }
        lastMoved = .now()
        readOn(side.other)
    }

    /// Passes an end on, behind everything that was sent before it.
    func passEnd(of side: Side) {
        guard let other = channel(side.other) else { return }
        if isForwarding {
            // The answer ends the connection; a request that is whole says so itself.
            if side == .outer { return finish() }
            guard !body.isOver else { return }
        }
        let isLast = ended.count == 2
        other.writeAndFlush(ByteBuffer()).whenComplete { [self] _ in
            other.close(mode: .output, promise: nil)
            if isLast { finish() }
        }
    }

    /// Closes both once the app has got what is on its way to it.
    func finish() {
        guard phase == .passing else { return }
        phase = .closing
        outer?.close(promise: nil)
        inner.writeAndFlush(ByteBuffer()).whenComplete { [self] _ in linger() }
    }

    /// Closes both at once.
    func abort() {
        outer?.close(promise: nil)
        inner.close(promise: nil)
    }

    func awaitIdleness(for time: Duration) {
        idleTimer = inner.eventLoop.scheduleTask(in: TimeAmount(time)) { [weak self] in
            guard let self, phase == .passing || phase == .closing else { return }
            let quiet = Duration.nanoseconds((NIODeadline.now() - lastMoved).nanoseconds)
            if quiet >= exit.limits.idle { abort() } else { awaitIdleness(for: exit.limits.idle - quiet) }
        }
    }
}
