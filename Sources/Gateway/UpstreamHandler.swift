import NIOCore

/// One connection to an app: reads its answers strictly and hands them to the client it works for.
///
/// All on one event loop with the client. No futures, closures or allocations per request.
final class UpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let generation: Generation
    /// When it was last put away, on the loop's coarse clock.
    var idleSince: UInt64 = 0
    /// The client it works for; nil while it is unused.
    private(set) var client: ClientHandler?

    private let loop: LoopState
    private var context: ChannelHandlerContext?
    private var output: ByteBuffer
    /// A part of an answer's head.
    private var held: ByteBuffer?
    private var search: HeadSearch?
    private var framing = BodyFraming()
    private var keepsAlive = false
    private var isInBody = false
    private var isReading = true
    private var hasFailed = false

    init(_ loop: LoopState, _ generation: Generation, _ allocator: ByteBufferAllocator) {
        self.loop = loop
        self.generation = generation
        output = allocator.buffer(capacity: 1024)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    /// Begins to work for `client`; everything is as on a new connection.
    func attach(_ client: ClientHandler) {
        assert(isReading && !isInBody && held == nil, "an app connection was put away in the middle of something")
        self.client = client
    }

    /// Whether the app takes more bytes.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    @inline(__always) func send(_ bytes: ByteBuffer, flushing: Bool) {
        guard let context else { return }
        let data = wrapOutboundOut(bytes)
        if flushing { context.writeAndFlush(data, promise: nil) } else { context.write(data, promise: nil) }
    }

    func flush() { context?.flush() }

    /// Reads on, or waits because the client does not.
    func setReading(_ reading: Bool) {
        guard reading != isReading, let context else { return }
        isReading = reading
        try? context.channel.syncOptions?.setOption(.autoRead, value: reading)
    }

    /// Ends the connection without telling the client.
    func close() {
        client = nil
        context?.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard let client else {
            // Whatever an unused connection says can only be meant to be taken for the next answer.
            loop.forget(self)
            context.close(promise: nil)
            return
        }
        client.answerBytesCame()
        if var held {
            self.held = nil
            held.writeBuffer(&bytes)
            bytes = held
        }
        do throws(Refusal) {
            while bytes.readableBytes > 0, self.client != nil {
                if isInBody {
                    try passBody(&bytes, client)
                } else if try !takeHead(&bytes, client) {
                    held = bytes
                    return
                }
                if isInBody, framing.isComplete { finish(client, hasMore: bytes.readableBytes > 0) }
            }
        } catch {
            self.client = nil
            client.answerIsBad()
            context.close(promise: nil)
        }
    }

    /// False when the head is not complete.
    private func takeHead(_ bytes: inout ByteBuffer, _ client: ClientHandler) throws(Refusal) -> Bool {
        guard isWorthParsing(bytes) else { return false }
        let count = min(bytes.readableBytes, loop.limits.head + 1)
        let capacity = count + ResponseHead.overhead
        output.clear(minimumCapacity: capacity)
        var parsed: ResponseHead?
        var refusal: Refusal?
        bytes.withUnsafeReadableBytes { source in
            let input = UnsafeRawBufferPointer(rebasing: source[..<count]).assumingMemoryBound(to: UInt8.self).span
            _ = output.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { memory in
                var head = HeadOutput(memory)
                do throws(Refusal) {
                    parsed = try ResponseHead.parse(
                        input, into: &head, isHead: client.isHead, isVersion10: client.isVersion10,
                        limits: loop.limits)
                    guard let parsed else { return 0 }
                    if parsed.isInterim {
                        head.append("\r\n")
                    } else {
                        client.finishHead(parsed, into: &head)
                    }
                    return head.count
                } catch {
                    refusal = error
                    return 0
                }
            }
        }
        if let refusal { throw refusal }
        guard let parsed else {
            if search == nil { search = HeadSearch() }
            return false
        }
        search = nil
        bytes.moveReaderIndex(forwardBy: parsed.length)
        guard !parsed.isInterim else {
            try client.passInterim(output, status: parsed.status)
            return true
        }
        framing = BodyFraming(parsed.framing, unwrapping: client.isVersion10)
        keepsAlive = parsed.keepsAlive
        isInBody = true
        try passFirst(&bytes, client)
        return true
    }

    private func isWorthParsing(_ bytes: ByteBuffer) -> Bool {
        guard search != nil else { return true }
        return bytes.withUnsafeReadableBytes {
            search?.isWorthParsing($0.assumingMemoryBound(to: UInt8.self).span, limit: loop.limits.head) ?? true
        }
    }

    /// The head and what came with it of the body, in one write if it is small.
    private func passFirst(_ bytes: inout ByteBuffer, _ client: ClientHandler) throws(Refusal) {
        let available = bytes.readableBytes
        if available > 0, available <= ClientHandler.coalescing {
            while bytes.readableBytes > 0, !framing.isComplete {
                let piece = try framing.next(in: bytes)
                guard var slice = bytes.readSlice(length: piece.count) else { break }
                if piece.isForwarded { output.writeBuffer(&slice) }
            }
        }
        let goesOn = bytes.readableBytes > 0 && !framing.isComplete
        client.pass(output, flushing: !goesOn)
    }

    private func passBody(_ bytes: inout ByteBuffer, _ client: ClientHandler) throws(Refusal) {
        while bytes.readableBytes > 0, !framing.isComplete {
            let piece = try framing.next(in: bytes)
            guard let slice = bytes.readSlice(length: piece.count) else { break }
            if piece.isForwarded { client.pass(slice, flushing: false) }
        }
        client.flush()
    }

    private func finish(_ client: ClientHandler, hasMore: Bool) {
        isInBody = false
        self.client = nil
        setReading(true)
        // Bytes behind the answer were not asked for.
        client.answerEnded(self, isReusable: keepsAlive && !hasMore && isWritable)
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard let client else {
            loop.forget(self)
            return
        }
        self.client = nil
        let kind = isInBody ? framing.kind : .none
        client.upstreamEnded(framing: kind, isClean: !hasFailed, hasPartialHead: held != nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        client?.upstreamWritabilityChanged(context.channel.isWritable)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        hasFailed = true
        context.close(promise: nil)
    }

    /// The bytes waiting for the app.
    var bufferedBytes: Int {
        guard let context else { return 0 }
        return (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }
}

extension LoopState {
    /// An unused app connection has ended.
    func forget(_ connection: UpstreamHandler) {
        connection.generation.pools[index].remove(connection)
    }
}

extension BodyFraming {
    /// The next run of the bytes at hand.
    @inline(__always) mutating func next(in bytes: ByteBuffer) throws(Refusal) -> Piece {
        // The closure of `withUnsafeReadableBytes` cannot throw a typed error.
        var refusal: Refusal?
        let piece = bytes.withUnsafeReadableBytes { source -> Piece in
            do throws(Refusal) {
                return try next(source.assumingMemoryBound(to: UInt8.self).span)
            } catch {
                refusal = error
                return Piece(count: 0, isForwarded: false)
            }
        }
        if let refusal { throw refusal }
        return piece
    }
}
