# Needs: the files of `micrographs.images`, and a model of the run or one that is named
# Makes: results/micrographs/{file}_images.json                      (names of the images of a file)
#        results/micrographs/{micrograph}_denoised.tif, _sigma.tif   (calibrated, see docs/micrographs.md)
#        results/micrographs/{micrograph}_summary.html, .png, .json  (how far to believe it)
#        results/micrographs/{micrograph}_marked.tif                (what figure 3 shows)
# None by default. Also the target `micrographs`. The command `temdenoise` does the same without a run.
# A file may hold several images, each denoised by a job of its own: which jobs there are is known once
# the files are listed.


if lists_images():

    checkpoint list_images:
        input:
            file=listed_file,
        output:
            images="results/micrographs/{file}_images.json",
        log:
            "results/logs/list_images/{file}.log",
        benchmark:
            "results/benchmarks/list_images/{file}.tsv"
        # before anything expensive: a file without an image shows at once
        priority: 20
        conda:
            "../../envs/micrographs.yaml"
        params:
            others=similar_names,
            code=recipe_of("list_images.py"),
        message:
            "Listing the images of {wildcards.file}"
        script:
            "../scripts/list_images.py"


rule denoise_micrograph:
    input:
        image=micrograph_file,
        # a new list alone is no reason to denoise anew; another number of the signal (params) is
        images=ancient(micrograph_list),
        model=micrograph_model(),
    output:
        denoised="results/micrographs/{micrograph}_denoised.tif",
        sigma="results/micrographs/{micrograph}_sigma.tif",
        eyes="results/micrographs/{micrograph}_denoised.png",
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
        signal=micrograph_signal,
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
