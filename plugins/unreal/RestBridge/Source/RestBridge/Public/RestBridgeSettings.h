// SPDX-License-Identifier: MIT
#pragma once

#include "CoreMinimal.h"
#include "Engine/DeveloperSettings.h"
#include "RestBridgeSettings.generated.h"

/** Project Settings > Plugins > Rest Bridge: where the daemon is. */
UCLASS(Config = Game, DefaultConfig, meta = (DisplayName = "Rest Bridge"))
class RESTBRIDGE_API URestBridgeSettings : public UDeveloperSettings
{
	GENERATED_BODY()

public:
	virtual FName GetCategoryName() const override;

	/** endpoints.frames of the daemon's configuration. */
	UPROPERTY(Config, EditAnywhere, Category = "Daemon")
	FString Frames = TEXT("tcp://127.0.0.1:5570");

	/** endpoints.events: voice, face values and what becomes of lines. */
	UPROPERTY(Config, EditAnywhere, Category = "Daemon")
	FString Events = TEXT("tcp://127.0.0.1:5571");

	/** endpoints.control: expression, avatar, interruptions. */
	UPROPERTY(Config, EditAnywhere, Category = "Daemon")
	FString Control = TEXT("tcp://127.0.0.1:5572");

	/** endpoints.audio_in: speech; the daemon runs with --audio push. */
	UPROPERTY(Config, EditAnywhere, Category = "Daemon")
	FString Speech = TEXT("tcp://127.0.0.1:5573");

	/** For a daemon on another computer: the file that "rest-bridge keys new NAME" writes. A path, not the keys: settings are packaged with the game. Relative to the project. */
	UPROPERTY(Config, EditAnywhere, Category = "Daemon")
	FString KeyFile;

	/** From the audio callback to the ear: what the engine and the device delay. Raise it if the lips are early. */
	UPROPERTY(Config, EditAnywhere, Category = "Voice", meta = (ClampMin = "0", ClampMax = "1000", Units = "ms"))
	float OutputDelayMs = 90.0f;

	/** Voice that waits before playing begins; more survives a worse network. */
	UPROPERTY(Config, EditAnywhere, Category = "Voice", meta = (ClampMin = "20", ClampMax = "300", Units = "ms"))
	float CushionMs = 60.0f;

	/** Pictures kept to choose from by the voice that is heard; 1 MiB each at 512 x 512. */
	UPROPERTY(Config, EditAnywhere, Category = "Voice", meta = (ClampMin = "2", ClampMax = "64"))
	int32 PicturesKept = 16;
};
