import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Glibc
import Sandboxes
import Waiting

/// One build at work: from the image that it begins with, step by step, to the image that it makes.
struct BuildRun: Sendable {
    /// The longest that one step may take.
    static let stepLimit = Duration.seconds(3600)
    /// How long a start command gets until its ready command ends with 0.
    static let readyLimit = Duration.seconds(300)
    /// Between two tries of the ready command.
    static let readyPause = Duration.seconds(1)
    /// The end of what a command says, kept for the reason of its failure, in bytes.
    static let tail = 4096

    let images: ImageStore
    let sandboxes: any ImageSandboxes
    let files: ArchiveFolder
    let log: BuildLog
    let clock: any Clock<Duration>

    /// Where a build stands between two steps.
    struct Place: Sendable {
        var image: SandboxImage
        var key: LayerKey
        /// The digest of its files; nil for none, pinned otherwise.
        var archive: String?
        /// The first step that is left.
        var next: Int
    }

    /// Builds; the archive of the result is pinned.
    ///
    /// - Throws: `BuildFailure`, and what nobody foresaw.
    func build(_ recipe: TemplateRecipe, _ record: TemplateBuildRecord) async throws -> (SandboxImage, archive: String?)
    {
        let base = try await base(of: recipe)
        await log.write("[base] FROM \(recipe.template ?? recipe.image ?? "")", step: "base")
        var place = try await begin(recipe, base)
        place.image.processors = record.processors
        place.image.memoryMiB = record.memoryMiB
        for (number, step) in recipe.steps.enumerated().prefix(place.next) {
            await log.write(
                "CACHED [builder \(number + 1)/\(recipe.steps.count)] \(Self.text(step))", step: "\(number + 1)")
        }
        let needsSandbox = place.next < recipe.steps.count || recipe.startCommand != nil || recipe.readyCommand != nil
        if needsSandbox {
            let begun = place
            do {
                place = try await sandboxes.withBuildSandbox(begun.image) { held in
                    try await perform(recipe, from: begun, in: held)
                }
            } catch {
                begun.archive.map(images.archives.unpin)
                throw error
            }
        }
        place.image.startCommand = recipe.startCommand ?? (recipe.readyCommand == nil ? base.startCommand : nil)
        place.image.readyCommand = recipe.readyCommand ?? (recipe.startCommand == nil ? base.readyCommand : nil)
        await log.write("Build finished", step: "finalize")
        return (place.image, place.archive)
    }

    /// What the recipe begins with.
    private func base(of recipe: TemplateRecipe) async throws -> SandboxImage {
        let name: String
        if let template = recipe.template {
            name = template
        } else {
            name = try Self.known(recipe.image ?? "", hasRegistry: recipe.hasRegistry)
        }
        do {
            return try await images.image(name)
        } catch {
            throw BuildFailure(message: ControlFailure(error).message, step: "base")
        }
    }

    /// The built-in image that stands for one of a registry.
    static func known(_ image: String, hasRegistry: Bool) throws -> String {
        let name = image.lowercased().split(separator: ":").first.map(String.init) ?? ""
        if ["e2bdev/base", "base", "docker.io/e2bdev/base"].contains(name), !hasRegistry { return "base" }
        throw BuildFailure(
            message:
                "the image '\(image)' cannot be used: sandboxes here show this machine's own system, and no image of "
                + "a registry can be fetched; begin with from_template(\"base\"), or register a folder or recipe with "
                + "`berth image add`", step: "base")
    }

    /// The farthest place that earlier builds have reached with the same steps.
    private func begin(_ recipe: TemplateRecipe, _ base: SandboxImage) async throws -> Place {
        var keys = [LayerKey(base: base)]
        for step in recipe.steps { keys.append(keys[keys.count - 1].after(step)) }
        let usable = recipe.isForced ? 0 : recipe.steps.firstIndex(where: \.isForced) ?? recipe.steps.count
        for count in stride(from: usable, to: 0, by: -1) {
            guard let layer = try images.store.layer(keys[count].text, time: images.now()) else { continue }
            layer.archive.map(images.archives.pin)
            guard layer.archive.map(images.archives.contains) ?? true else {
                layer.archive.map(images.archives.unpin)
                try images.store.forget(layer: layer.key)
                continue
            }
            let stored = try StoredImage(text: layer.content)
            var image = try await images.restore(stored, template: base.template, build: base.build, alias: base.alias)
            image.startCommand = nil
            image.readyCommand = nil
            return Place(image: image, key: keys[count], archive: layer.archive, next: count)
        }
        var image = base
        image.startCommand = nil
        image.readyCommand = nil
        let digest = image.archive.map { String($0.split(separator: "/").last?.dropLast(".tar".count) ?? "") }
        digest.map(images.archives.pin)
        return Place(image: image, key: keys[0], archive: digest, next: 0)
    }

    /// Does the steps that are left, each kept as a layer, and tries the start command.
    private func perform(_ recipe: TemplateRecipe, from begun: Place, in held: HeldSandbox) async throws -> Place {
        var place = begun
        do {
            for (number, step) in recipe.steps.enumerated().dropFirst(begun.next) {
                try Task.checkCancellation()
                let work = BuildStep(
                    step: step, number: number + 1, count: recipe.steps.count, held: held, files: files, log: log)
                let changesFiles = try await work.perform(on: &place.image)
                place.key = place.key.after(step)
                place.next = number + 1
                if changesFiles {
                    let archive = try await images.archives.store { deliver in
                        try await SandboxFiles(of: held).pack(withVolatile: false, deliver)
                    }
                    place.archive.map(images.archives.unpin)
                    place.archive = archive.digest
                    place.image.archive = images.archives.path(of: archive.digest)
                }
                try await keep(place)
            }
            if recipe.startCommand != nil || recipe.readyCommand != nil {
                try await StartTrial(held: held, image: place.image, log: log, clock: clock)
                    .run(recipe.startCommand, ready: recipe.readyCommand)
            }
            return place
        } catch {
            // The caller lets go of what was there at the beginning.
            if place.archive != begun.archive {
                place.archive.map(images.archives.unpin)
                begun.archive.map(images.archives.pin)
            }
            throw error
        }
    }

    /// Keeps a place for later builds, as far as there is room.
    private func keep(_ place: Place) async throws {
        var bytes: Int64 = 0
        if let archive = place.archive {
            var status = stat()
            if stat(images.archives.path(of: archive), &status) == 0 { bytes = Int64(status.st_blocks) * 512 }
        }
        let content = try await images.stored(place.image, archive: place.archive).text()
        try images.store.keep(
            ImageLayerRecord(
                key: place.key.text, content: content, archive: place.archive, bytes: bytes, usedAt: images.now()))
    }

    static func text(_ step: TemplateRecipe.Step) -> String {
        switch step.kind {
        case .run: "RUN \(step.arguments.first ?? "")"
        case .copy: "COPY \(step.arguments.prefix(2).joined(separator: " "))"
        // Values may be secrets.
        case .environment:
            "ENV " + stride(from: 0, to: step.arguments.count, by: 2).map { step.arguments[$0] }.joined(separator: " ")
        case .workdir: "WORKDIR \(step.arguments.first ?? "")"
        case .user: "USER \(step.arguments.first ?? "")"
        }
    }
}
