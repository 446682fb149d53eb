// SPDX-License-Identifier: MIT
#pragma once

#include "CoreMinimal.h"
#include "Kismet/BlueprintAsyncActionBase.h"
#include "RestBridgeFaceComponent.h"
#include "RestBridgeSpeakAction.generated.h"

DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FRestBridgeSpeakOutput, const FRestBridgeLineEvent&, Event);

/** The Blueprint node "Speak": one line, with an output for each thing that becomes of it. */
UCLASS()
class RESTBRIDGE_API URestBridgeSpeakAction : public UBlueprintAsyncActionBase
{
	GENERATED_BODY()

public:
	UPROPERTY(BlueprintAssignable)
	FRestBridgeSpeakOutput Started;

	UPROPERTY(BlueprintAssignable)
	FRestBridgeSpeakOutput MarkReached;

	/** Always comes, and once; see Interrupted and Error of the event. */
	UPROPERTY(BlueprintAssignable)
	FRestBridgeSpeakOutput Finished;

	/** Speaks the bytes of a 16-bit .wav and goes on when they were heard. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge|Speech", meta = (BlueprintInternalUseOnly = "true", DefaultToSelf = "InFace", DisplayName = "Speak", AutoCreateRefTerm = "InMarks"))
	static URestBridgeSpeakAction* Speak(URestBridgeFaceComponent* InFace, const TArray<uint8>& InWavBytes, const TArray<FRestBridgeMark>& InMarks);

	virtual void Activate() override;

private:
	UFUNCTION()
	void HandleStarted(const FRestBridgeLineEvent& Event);

	UFUNCTION()
	void HandleMark(const FRestBridgeLineEvent& Event);

	UFUNCTION()
	void HandleFinished(const FRestBridgeLineEvent& Event);

	UFUNCTION()
	void HandleState(ERestBridgeState State);

	void Finish(const FRestBridgeLineEvent& Event);

	UPROPERTY()
	TObjectPtr<URestBridgeFaceComponent> Face;

	TArray<uint8> WavBytes;
	TArray<FRestBridgeMark> Marks;
	FString Line;
};
