import AppTemplates
import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@Suite struct TemplateCatalogTests {
    @Test func everyFrameworkHasTheFourTemplates() throws {
        let names = try shippedTemplates().names.map { "\($0.framework.rawValue)/\($0.name)" }
        #expect(
            names == [
                "fastapi/onnx", "fastapi/python", "fastapi/sklearn", "fastapi/torch",
                "flask/onnx", "flask/python", "flask/sklearn", "flask/torch",
            ])
    }

    @Test func unknownTemplateNamesTheExistingOnes() throws {
        let error = #expect(throws: BerthError.self) { try shippedTemplates().render(manifest(.fastapi, "sklern")) }
        #expect(error?.code == .invalidManifest)
        #expect(error?.message == "there is no fastapi template 'sklern'")
        #expect(error?.suggestion == "did you mean 'sklearn'? the templates are onnx, python, sklearn, torch")
    }

    @Test func requirementsAreTheServersAndTheLibraries() throws {
        let catalog = try shippedTemplates()
        let fastapi = try catalog.requirements(for: .init(framework: .fastapi, app: .template("sklearn")))
        #expect(fastapi.contains("uvicorn>=0.30,<1") && fastapi.contains("scikit-learn>=1.3,<2"))
        let flask = try catalog.requirements(for: .init(framework: .flask, app: .template("onnx")))
        #expect(flask.contains("granian>=2.4,<3") && flask.contains("onnxruntime>=1.16,<2"))
        #expect(try catalog.requirements(for: .init(app: .own("app.py"))) == ["uvicorn", "waitress"])
        #expect(try catalog.requirements(for: .init(app: .command(["sh"]))) == [])
    }

    @Test func modelTypeIsTheManifestsThenTheTemplates() {
        #expect(TemplateCatalog.modelType(of: manifest(.flask, "onnx")) == "onnx")
        #expect(TemplateCatalog.modelType(of: manifest(.flask, "onnx", type: "iris")) == "iris")
        #expect(TemplateCatalog.modelType(of: Manifest(name: "x", server: .init(app: .own("app.py")))) == "custom")
    }

    @Test(arguments: ["app.py", "launch.py", "berth_model.py", "app/net.pt", "launch/x/net.pt"])
    func modelFileCannotHideARenderedFile(target: String) throws {
        var hidden = manifest(.fastapi, "torch")
        hidden.model.files.append(.init(source: "x", target: target))
        let error = #expect(throws: BerthError.self) { try shippedTemplates().render(hidden) }
        #expect(error?.message.contains(target) == true)
    }

    @Test func modelFileMustBeLoadable() throws {
        let wrong = #expect(throws: BerthError.self) {
            try shippedTemplates().render(manifest(.fastapi, "sklearn", file: "model.onnx"))
        }
        #expect(wrong?.suggestion == "it loads .joblib, .pkl, .pickle")
        var none = manifest(.fastapi, "onnx")
        none.model.files = []
        #expect(throws: BerthError.self) { try shippedTemplates().render(none) }
    }

    @Test func changedPathsAreRefused() throws {
        var changed = manifest(.fastapi, "sklearn")
        changed.predict.path = "/v1/predict"
        let error = #expect(throws: BerthError.self) { try shippedTemplates().render(changed) }
        #expect(error?.message == "predict.path is '/v1/predict', but template 'sklearn' answers on '/predict'")
    }

    @Test func goldenIsTheFirstSmokePredictionThatMustSucceed() throws {
        var several = manifest(.fastapi, "sklearn", body: ["input": [1]])
        several.smoke.insert(SmokeTest(name: "bad", request: .init(body: .json(["x": 1])), status: 422), at: 0)
        let app = try #require(try shippedTemplates().render(several).first { $0.path == "app.py" })
        #expect(app.contents.contains(#"GOLDEN: str | None = '{"input":[1]}'"#))
        several.smoke = []
        let without = try #require(try shippedTemplates().render(several).first { $0.path == "app.py" })
        #expect(without.contents.contains("GOLDEN: str | None = None\n"))
    }

    @Test(arguments: [("fastapi", "sklearn"), ("flask", "python")])
    func renderedAppIsTheGolden(framework: String, template: String) throws {
        let kind = try #require(Manifest.Server.Framework(rawValue: framework))
        for file in try shippedTemplates().render(manifest(kind, template)) {
            let path = beside("Goldens/\(framework)-\(template)/\(file.path)")
            if ProcessInfo.processInfo.environment["BERTH_UPDATE_GOLDENS"] == "1" {
                try write([file], to: beside("Goldens/\(framework)-\(template)"))
                Issue.record("wrote \(file.path); run again without BERTH_UPDATE_GOLDENS")
            }
            let golden = try String(contentsOfFile: path, encoding: .utf8)
            #expect(
                file.contents == golden, "\(file.path) changed; look at it, then run with BERTH_UPDATE_GOLDENS=1")
        }
    }
}
