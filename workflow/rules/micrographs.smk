# Needs: the files of `micrographs.images`, and a model of the run or one that is named
# Makes: results/micrographs/{micrograph}_denoised.tif, _sigma.tif   (calibrated, see docs/micrographs.md)
#        results/micrographs/{micrograph}_summary.html, .png, .json  (how far to believe it)
#        results/micrographs/{micrograph}_marked.tif                (what figure 3 shows)
# None by default. Also the target `micrographs`. The command `temdenoise` does the same without a run.


rule denoise_micrograph:
    input:
        image=micrograph_file,
        model=micrograph_model(),
    output:
        denoised="results/micrographs/{micrograph}_denoised.tif",
        sigma="results/micrographs/{micrograph}_sigma.tif",
        marked="results/micrographs/{micrograph}_marked.tif",
        page=report(
            "results/micrographs/{micrograph}_summary.html",
            category="Micrographs",
            labels={"micrograph": "{micrograph}"},
            caption="../report/micrograph.rst",
        ),
        picture="results/micrographs/{micrograph}_summary.png",
        numbers="results/micrographs/{micrograph}_summary.json",
    log:
        "results/logs/denoise_micrograph/{micrograph}.log",
    benchmark:
        "results/benchmarks/denoise_micrograph/{micrograph}.tsv"
    conda:
        "../../envs/micrographs.yaml"
    params:
        options={k: config["micrographs"][k] for k in ("kind", "sampling", "crystal")},
        pretrained=pretrained_models(),
        code=recipe_of("denoise_micrograph.py"),
        templates=[
            file_digest(path)
            for path in templates("page.html.j2", "micrograph.html.j2")
        ],
    message:
        "Denoising the micrograph {wildcards.micrograph}"
    script:
        "../scripts/denoise_micrograph.py"
